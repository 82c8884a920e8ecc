import type { QuotaProfile } from './context.ts';

/**
 * Realtime's limits on the hosted plans, from https://supabase.com/docs/guides/realtime/limits (August 2026).
 * `team` is also what Pro without a spend cap gets. Counting and refusing: realtime/quota.ts.
 */
export const quotaProfiles: Record<'free' | 'pro' | 'team', QuotaProfile> = {
  free: {
    name: 'free',
    connections: 200,
    messagesPerS: 100,
    joinsPerS: 100,
    channelsPerConnection: 100,
    presencePerS: 20,
    presenceCallsPerClient30S: 5,
    presenceKeysPerObject: 10,
    broadcastPayloadKb: 256,
  },
  pro: {
    name: 'pro',
    connections: 500,
    messagesPerS: 500,
    joinsPerS: 500,
    channelsPerConnection: 100,
    presencePerS: 50,
    presenceCallsPerClient30S: 5,
    presenceKeysPerObject: 10,
    broadcastPayloadKb: 3_000,
  },
  team: {
    name: 'team',
    connections: 10_000,
    messagesPerS: 2_500,
    joinsPerS: 2_500,
    channelsPerConnection: 100,
    presencePerS: 1_000,
    presenceCallsPerClient30S: 5,
    presenceKeysPerObject: 10,
    broadcastPayloadKb: 3_000,
  },
};
