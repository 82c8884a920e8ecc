import type { SupabaseRest } from '../../target/supabase/rest.ts';
import type { GuardStore } from './guard-store.ts';
import { factsOf, pairsArgument, pendingOf, roomsOf } from './store-answers.ts';

/** The rows over the project's REST API with the service role key. The client stays the caller's. */
export function restStore(rest: SupabaseRest): GuardStore {
  return {
    async expireDueSeats(limit) {
      await rest.rpc('expire_due_seats', { p_limit: limit });
    },
    async pendingEjections(except, limit) {
      // bigints as numbers: identity values stay far below 2^53
      const args = { p_except: except.map(Number), p_limit: limit };
      return pendingOf(await rest.rpc('guard_pending_ejections', args));
    },
    async settleEjection(id, error) {
      await rest.rpc('complete_ejection', { p_id: Number(id), p_error: error });
    },
    async guardedRooms(rooms) {
      return roomsOf(await rest.rpc('guard_rooms', { p_rooms: rooms }));
    },
    async seatFacts(pairs) {
      return factsOf(await rest.rpc('guard_seat_facts', { p_pairs: pairs && pairsArgument(pairs) }));
    },
    async touchSeats(pairs) {
      await rest.rpc('touch_seats', { p_seats: pairsArgument(pairs) });
    },
    async heartbeat(id, state) {
      await rest.rpc('guard_heartbeat', { p_id: id, p_state: { ...state } });
    },
    async farewell(id) {
      await rest.rpc('guard_farewell', { p_id: id });
    },
  };
}
