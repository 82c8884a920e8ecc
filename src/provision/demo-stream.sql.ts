/** The demo's host, who cannot sign in: an owner and a receiver of gifts. $1 id */
export const putDemoHostSql = `
insert into public.profiles (id, username, display_name) values ($1, 'trollfix-demo-host', 'Demo host')
on conflict (id) do nothing`;

/** The demo's stream, live again and at this start's address. $1 id, $2 owner, $3 URL of the HLS playlist or null */
export const putDemoStreamSql = `
insert into public.streams (id, owner_id, title, hls_url) values ($1, $2, 'Demo stream', $3)
on conflict (id) do update set status = 'live', hls_url = excluded.hls_url
where streams.status <> 'live' or streams.hls_url is distinct from excluded.hls_url`;
