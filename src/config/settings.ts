/** One setting of a target: where it stands in trollfix.yaml and under which names in the environment. */
export interface Setting {
  /** `supabaseUrl`, `livekit.url` */
  readonly key: string;
  /** Other names for it in trollfix.yaml, in the words of the newer API keys. */
  readonly aliases: readonly string[];
  /** Read from the environment of the process; the first that is set counts. */
  readonly env: readonly string[];
  /** Read from an `--env-file`, beside the names above: what `trollfix status --env` and Supabase's dashboards write. */
  readonly envFile: readonly string[];
  /** `url`s are checked for their schemes; `secret`s never shown and not welcome as literals. */
  readonly kind: 'url' | 'text' | 'secret';
  readonly schemes?: readonly string[];
}

export const settings: readonly Setting[] = [
  {
    key: 'supabaseUrl',
    aliases: [],
    env: ['TROLLFIX_SUPABASE_URL'],
    envFile: ['SUPABASE_URL'],
    kind: 'url',
    schemes: ['http', 'https'],
  },
  {
    key: 'anonKey',
    aliases: ['publishableKey'],
    env: ['TROLLFIX_ANON_KEY', 'TROLLFIX_SUPABASE_ANON_KEY', 'TROLLFIX_PUBLISHABLE_KEY'],
    envFile: ['SUPABASE_ANON_KEY', 'SUPABASE_PUBLISHABLE_KEY'],
    // it ships to browsers and may stand in a file; it is kept out of outputs all the same
    kind: 'text',
  },
  {
    key: 'serviceRoleKey',
    aliases: ['secretKey'],
    env: ['TROLLFIX_SERVICE_ROLE_KEY', 'TROLLFIX_SUPABASE_SERVICE_ROLE_KEY', 'TROLLFIX_SECRET_KEY'],
    envFile: ['SUPABASE_SERVICE_ROLE_KEY', 'SUPABASE_SECRET_KEY'],
    kind: 'secret',
  },
  {
    key: 'jwtSecret',
    aliases: [],
    env: ['TROLLFIX_JWT_SECRET', 'TROLLFIX_SUPABASE_JWT_SECRET'],
    envFile: ['SUPABASE_JWT_SECRET'],
    kind: 'secret',
  },
  {
    key: 'jwtSigningKey',
    aliases: [],
    env: ['TROLLFIX_JWT_SIGNING_KEY'],
    envFile: ['SUPABASE_JWT_SIGNING_KEY'],
    kind: 'secret',
  },
  {
    key: 'databaseUrl',
    aliases: [],
    env: ['TROLLFIX_DATABASE_URL'],
    envFile: ['DATABASE_URL'],
    kind: 'secret',
    schemes: ['postgres', 'postgresql'],
  },
  {
    key: 'livekit.url',
    aliases: [],
    env: ['TROLLFIX_LIVEKIT_URL'],
    envFile: ['LIVEKIT_URL'],
    kind: 'url',
    schemes: ['ws', 'wss', 'http', 'https'],
  },
  {
    key: 'livekit.apiKey',
    aliases: [],
    env: ['TROLLFIX_LIVEKIT_API_KEY'],
    envFile: ['LIVEKIT_API_KEY'],
    kind: 'text',
  },
  {
    key: 'livekit.apiSecret',
    aliases: [],
    env: ['TROLLFIX_LIVEKIT_API_SECRET'],
    envFile: ['LIVEKIT_API_SECRET'],
    kind: 'secret',
  },
  {
    key: 'livekit.gateUrl',
    aliases: [],
    env: ['TROLLFIX_LIVEKIT_GATE_URL'],
    envFile: ['LIVEKIT_GATE_URL'],
    kind: 'url',
    schemes: ['ws', 'wss', 'http', 'https'],
  },
  {
    key: 'hls.url',
    aliases: [],
    env: ['TROLLFIX_HLS_URL'],
    envFile: ['HLS_URL'],
    kind: 'url',
    schemes: ['http', 'https'],
  },
  {
    key: 'tokenEndpoint',
    aliases: [],
    env: ['TROLLFIX_TOKEN_ENDPOINT'],
    envFile: ['TOKEN_ENDPOINT'],
    kind: 'url',
    schemes: ['http', 'https'],
  },
];

/** Variables of the process that mean something beside the settings; anything else with the prefix is a typing error. */
export const otherVariables: readonly string[] = [
  'TROLLFIX_TARGET',
  'TROLLFIX_CONFIG',
  'TROLLFIX_LIVEKIT_BIN',
  // of `token attack`: whose session asks
  'TROLLFIX_SESSION',
];
