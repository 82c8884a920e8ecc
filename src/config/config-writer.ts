import { Document, isMap, parseDocument } from 'yaml';

/** What `trollfix init` knows about a target; secrets are only named, by the variables they stand in. */
export interface NewTarget {
  readonly name: string;
  readonly supabaseUrl: string;
  readonly livekitUrl: string | undefined;
  readonly hlsUrl: string | undefined;
  readonly tokenEndpoint: string | undefined;
  readonly limits:
    | { readonly maxRate: string; readonly maxUsers: number; readonly chaos: boolean }
    | undefined;
}

/** A variable that the written file refers to. */
export interface NamedVariable {
  readonly setting: string;
  readonly name: string;
}

/** `my-staging` names its variables `MY_STAGING_…`, so that two targets of one file do not share them. */
export function variablesOf(target: NewTarget): NamedVariable[] {
  const prefix = target.name
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^(\d)/, '_$1');
  const named = (setting: string, suffix: string) => ({ setting, name: `${prefix}_${suffix}` });
  return [
    named('anonKey', 'SUPABASE_ANON_KEY'),
    named('serviceRoleKey', 'SUPABASE_SERVICE_ROLE_KEY'),
    named('jwtSecret', 'SUPABASE_JWT_SECRET'),
    named('databaseUrl', 'DATABASE_URL'),
    ...(target.livekitUrl === undefined
      ? []
      : [named('livekit.apiKey', 'LIVEKIT_API_KEY'), named('livekit.apiSecret', 'LIVEKIT_API_SECRET')]),
  ];
}

/** Whether the text of a trollfix.yaml has this target already. */
export function hasTarget(text: string, name: string): boolean {
  return parseDocument(text).hasIn(['targets', name]);
}

/**
 * The text of a trollfix.yaml with the target in it, as the one that is meant when none is named. What an existing
 * file holds besides, comments included, stays.
 */
export function configText(existing: string | undefined, target: NewTarget): string {
  const document = existing === undefined ? newDocument() : parseDocument(existing);
  if (!isMap(document.contents)) document.contents = document.createNode({});
  if (!document.has('target')) document.set('target', target.name);
  if (!isMap(document.get('targets'))) document.set('targets', document.createNode({}));
  document.setIn(['targets', target.name], document.createNode(targetNode(target)));
  return document.toString({ lineWidth: 110 });
}

function newDocument(): Document {
  const document = new Document({});
  document.commentBefore =
    ' Targets of trollfix; written by `trollfix init`. Every key: `trollfix schema config`.\n' +
    ' Secrets stay in the environment (or an --env-file): this file only names the variables.';
  return document;
}

function targetNode(target: NewTarget): Record<string, unknown> {
  const variable = new Map(variablesOf(target).map(({ setting, name }) => [setting, { env: name }]));
  const { supabaseUrl, livekitUrl, hlsUrl, tokenEndpoint, limits } = target;
  return {
    supabaseUrl,
    anonKey: variable.get('anonKey'),
    serviceRoleKey: variable.get('serviceRoleKey'),
    jwtSecret: variable.get('jwtSecret'),
    databaseUrl: variable.get('databaseUrl'),
    ...(livekitUrl === undefined
      ? {}
      : {
          livekit: {
            url: livekitUrl,
            apiKey: variable.get('livekit.apiKey'),
            apiSecret: variable.get('livekit.apiSecret'),
          },
        }),
    ...(hlsUrl === undefined ? {} : { hls: { url: hlsUrl } }),
    ...(tokenEndpoint === undefined ? {} : { tokenEndpoint }),
    ...(limits === undefined ? {} : { limits: { ...limits } }),
  };
}
