import type { SeatDesk } from '../../ops/seat-desk.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import type { CommandContext } from '../command.ts';
import { withDatabase } from '../target-database.ts';

/**
 * Opens what seat commands act through, for as long as `work` runs.
 * @throws TF-CFG-005 when the target has no database URL
 */
export async function withSeatDesk<T>(
  context: CommandContext,
  work: (desk: SeatDesk) => Promise<T>,
): Promise<T> {
  return withDatabase(context, 'seat', (database, target) =>
    work({
      database,
      livekit: target.livekit === undefined ? null : liveKitAdmin(target.livekit),
      clock: context.clock,
      signal: context.signal,
      actor: `cli:${context.env.USER ?? context.env.LOGNAME ?? context.env.USERNAME ?? 'unknown'}`,
    }),
  );
}
