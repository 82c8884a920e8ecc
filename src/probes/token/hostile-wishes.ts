import type { CaseWriter, TokenCase } from './hostile-case.ts';

/** Every grant of LiveKit's that a client might ask for. */
const grantFlags = [
  ...['canPublish', 'canPublishData', 'canUpdateOwnMetadata', 'canPublishSources', 'canSubscribeMetrics'],
  ...['roomAdmin', 'roomCreate', 'roomList', 'roomRecord', 'ingressAdmin', 'hidden', 'recorder', 'agent'],
] as const;

/** Every grant, wherever an endpoint might look for it. */
export function flagCases(write: CaseWriter): TokenCase[] {
  const placements = (flags: Record<string, unknown>) => ({
    extra: {
      ...flags,
      grants: flags,
      grant: flags,
      video: flags,
      permission: flags,
      permissions: flags,
      options: { video: flags },
    },
  });
  const wish = (flag: string) => (flag === 'canPublishSources' ? ['camera'] : true);
  const everything = Object.fromEntries(grantFlags.map((flag) => [flag, wish(flag)]));
  const asTexts = Object.fromEntries(grantFlags.map((flag) => [flag, 'true']));
  return [
    ...grantFlags.map((flag) =>
      write.atMost('flags', 'viewer', `${flag}: true`, placements({ [flag]: wish(flag) })),
    ),
    write.atMost('flags', 'viewer', 'every flag at once', placements(everything)),
    write.atMost('flags', 'speaker', 'every flag at once, by a speaker', placements(everything)),
    write.atMost('flags', 'viewer', 'every flag in the query string', { query: asTexts }),
    write.atMost('flags', 'viewer', 'a role of its own', {
      extra: { role: 'host', isHost: true, host: true, isAdmin: true, admin: true, type: 'publisher' },
    }),
  ];
}

/** Being somebody else, an alias (which ejection does not reach), or described as more than one is. */
export function identityCases(write: CaseWriter): TokenCase[] {
  const self = write.anybody()?.id ?? 'trollfix-probe';
  // where there is only one user, somebody who does not exist is as good to pretend to be
  const other = write.scene.people.speaker?.id ?? '00000000-0000-4000-8000-0000000000ff';
  const as = (id: string) => ({
    identity: id,
    extra: {
      ...{ identity: id, sub: id, userId: id, user_id: id, username: id, uid: id },
      ...{ participantIdentity: id, participant_identity: id, participantId: id },
      user: { id },
    },
  });
  return [
    write.atMost('identity', 'viewer', "another user's identity", as(other)),
    write.atMost('identity', 'viewer', 'an alias of oneself', as(`${self}#x`)),
    write.atMost('identity', 'viewer', 'an alias of another user', as(`${other}#x`)),
    write.atMost('identity', 'viewer', 'an empty identity', as('')),
    write.atMost('identity', 'viewer', 'another identity in the query string', {
      query: { identity: other, userId: other, username: other },
    }),
    write.atMost('identity', 'viewer', 'name, metadata and attributes', {
      extra: {
        name: 'The Host',
        metadata: '{"role":"admin"}',
        attributes: { role: 'admin' },
        participantName: 'The Host',
        participant_name: 'The Host',
        participant_metadata: '{"role":"admin"}',
        participant_attributes: { role: 'admin' },
      },
    }),
  ];
}

export function roomCases(write: CaseWriter): TokenCase[] {
  const { stream, otherStream, strict } = write.scene;
  const other = otherStream ?? 'trollfix-another-room';
  const elsewhere = { room: other, roomName: other, room_name: other };
  const odd = ['*', '', `${stream}#x`, `${stream}'; --`, '00000000-0000-4000-8000-000000000000', '../admin'];
  return [
    write.atMost('room', 'speaker', 'another room beside the stream', { extra: elsewhere }),
    write.atMost('room', 'viewer', 'the room "*" beside the stream', {
      extra: { room: '*', roomName: '*' },
    }),
    write.atMost('room', 'viewer', 'another room inside grants', {
      extra: { video: elsewhere, grants: elsewhere },
    }),
    write.atMost('room', 'viewer', 'another room in the query string', {
      query: { room: other, streamId: other, roomName: other },
    }),
    // only our own rules say what a seat is worth on another stream
    ...(strict && otherStream !== null
      ? [write.honest('speaker', 'a speaker of one stream only watches another', { room: otherStream })]
      : []),
    ...odd.map((room) =>
      write.refused('room', 'viewer', `the stream ${JSON.stringify(room.replace(stream, '<id>'))}`, { room }),
    ),
  ];
}

export function ttlCases(write: CaseWriter): TokenCase[] {
  const life = (value: unknown) => ({
    extra: {
      ttl: value,
      ttlSeconds: value,
      expiresIn: value,
      expires_in: value,
      exp: value,
      validFor: value,
    },
  });
  return [
    write.atMost('ttl', 'viewer', 'a year in words', life('1y')),
    write.atMost('ttl', 'viewer', 'a year in seconds', life(31_536_000)),
    write.atMost('ttl', 'viewer', 'no end at all', life(null)),
    write.atMost('ttl', 'viewer', 'a negative life', life(-1)),
  ];
}
