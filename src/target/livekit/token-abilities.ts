/** What LiveKit 1.11.0 makes of the grants of a token: unset flags are read as it reads them, not as one might hope. */

/** One of the permissions that a participant really has after joining. */
export interface EffectivePermission {
  readonly grant: string;
  readonly allowed: boolean;
  /** False where the token says nothing and LiveKit's default decides. */
  readonly stated: boolean;
}

/** LiveKit takes exp and nbf this much too late or too early (measured: 59 s yes, 64 s no). */
export const leewaySeconds = 60;

/** How long the token lives that the server itself signs for everybody who joins. */
const refreshTokenMinutes = 10;

/** The permissions of a participant, defaults filled in: publishing is allowed unless the token denies it. */
export function effectivePermissions(video: Readonly<Record<string, unknown>>): EffectivePermission[] {
  const canPublish = readFlag(video, 'canPublish', true);
  return [
    canPublish,
    readFlag(video, 'canSubscribe', true),
    // unset, it follows canPublish
    readFlag(video, 'canPublishData', canPublish.allowed),
    readFlag(video, 'canUpdateOwnMetadata', false),
    readFlag(video, 'hidden', false),
    readFlag(video, 'recorder', false),
    readFlag(video, 'agent', false),
  ];
}

/** What whoever holds the token can do, one sentence each. */
export function abilitiesOf(video: Readonly<Record<string, unknown>>, room: string | null): string[] {
  const allowed = new Map(effectivePermissions(video).map(({ grant, allowed }) => [grant, allowed]));
  const administers = administrationOf(video, room);
  if (video.roomJoin !== true || room === null || room === '') {
    return administers.length > 0 ? administers : ['nothing: it neither joins a room nor administers one'];
  }
  const sources = Array.isArray(video.canPublishSources) ? video.canPublishSources.map(String) : [];
  const publishes = allowed.get('canPublish') === true;
  return [
    `join the room ${room}, see who is in it and their metadata`,
    `stay in: whoever joined holds a ${refreshTokenMinutes}-minute token of the server's own, renewed for as long as they stay`,
    ...(allowed.get('canSubscribe') === true ? ['watch and hear everything in it'] : []),
    ...(publishes ? [`publish ${sources.length > 0 ? sources.join(', ') : 'from any source'}`] : []),
    ...(publishes
      ? ['join once more under any alias (`/rtc?publish=…` joins as <identity>#…), and over WHIP']
      : []),
    ...(allowed.get('canPublishData') === true ? ['send data messages to everybody in it'] : []),
    ...(allowed.get('canUpdateOwnMetadata') === true
      ? ['write its own name, metadata and attributes, also while joining']
      : []),
    ...(allowed.get('hidden') === true ? ['be there without being seen by the others'] : []),
    ...administers,
  ];
}

function administrationOf(video: Readonly<Record<string, unknown>>, room: string | null): string[] {
  const where = room ?? 'any room';
  const words: Readonly<Record<string, string>> = {
    roomAdmin: `remove, mute and change everybody in ${where}`,
    roomCreate: 'create and delete rooms',
    roomList: 'list every room',
    roomRecord: 'record rooms',
    ingressAdmin: 'create ingress into any room',
  };
  return Object.entries(words).flatMap(([grant, text]) => (video[grant] === true ? [text] : []));
}

function readFlag(
  video: Readonly<Record<string, unknown>>,
  grant: string,
  otherwise: boolean,
): EffectivePermission {
  const value = video[grant];
  const stated = typeof value === 'boolean';
  return { grant, allowed: stated ? value : otherwise, stated };
}
