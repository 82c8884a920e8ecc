/** What Realtime means by a refusal; its texts are those on the wire, not the docs' internal names (supabase.md §2). */
export type RefusalKind = 'rate_limit' | 'authorization' | 'payload_size' | 'other';

const rateLimitTexts = [
  'Too many messages per second',
  'ClientJoinRateLimitReached',
  'Too many joins per second',
  'ConnectionRateLimitReached',
  'Too many connected users',
  'ChannelRateLimitReached',
  'Too many channels',
  'Too many presence messages',
  'You have exceeded your rate limit',
  'Too many messages to broadcast',
  'presence rate limit',
];
const authorizationTexts = [
  'Unauthorized',
  'InvalidJWTToken',
  'MalformedJWT',
  'PrivateOnly',
  'Token has expired',
  'JWT',
  'API key',
];

/** Classifies a `system` message, a join refusal or the body of a refused upgrade. */
export function classifyRefusal(text: string): RefusalKind {
  if (rateLimitTexts.some((part) => text.includes(part))) return 'rate_limit';
  if (text.includes('payload_size_exceeded')) return 'payload_size';
  if (authorizationTexts.some((part) => text.includes(part))) return 'authorization';
  return 'other';
}
