import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { ProbeContext } from '../probe.ts';
import { type Knock, knock } from './doors.ts';
import { holderOf } from './lost-seats.ts';
import type { RoomWitness } from './room-witness.ts';
import { askForToken, type Stage, seatVictims } from './victims.ts';
import { type Control, controlKey, waysBack } from './ways-back.ts';

/**
 * What every way says to somebody who has a seat and keeps it: a door that does not open for them says nothing when it
 * stays shut for others. First comes the way that needs the session they are in.
 * @throws HolderTurnedAway when they cannot join
 */
export async function controlOf(
  context: ProbeContext,
  stage: Stage,
  user: SyntheticUser,
  witness: RoomWitness,
): Promise<Control> {
  const [victim] = await seatVictims(context, stage, [user]);
  if (victim === undefined) throw new Error('nobody was seated');
  const holder = await holderOf(context, stage, victim, true);
  const answer = await askForToken(context, stage, user);
  const keys = { ...holder.keys, ...(answer.token === null ? {} : { new: answer.token }) };
  const control = new Map<string, { opens: boolean | null; said: string }>();
  const inOrder = [...waysBack].sort(
    (a, b) => Number(b.door === 'rtc-resume') - Number(a.door === 'rtc-resume'),
  );
  for (const way of inOrder) {
    const token = keys[way.credential];
    if (token === undefined || control.has(controlKey(way))) continue;
    const key = { userId: user.id, token, sid: victim.participant.sid };
    const said = await knock(way.door, key, stage.livekit.url, context.clock);
    control.set(controlKey(way), { opens: opensFor(said), said: said.said });
    if (said.kind === 'in' && said.left !== null) await said.leave();
    await witness.clear(user.id);
  }
  await Promise.all([victim.participant.close(), holder.alias?.close()]);
  return control;
}

/** null: nobody answered. */
function opensFor({ kind }: Knock): boolean | null {
  if (kind === 'silent') return null;
  return kind === 'in' || kind === 'yes';
}
