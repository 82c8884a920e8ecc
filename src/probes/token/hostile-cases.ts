import { bodyCases, transportCases } from './hostile-bodies.ts';
import { callerCases } from './hostile-callers.ts';
import { CaseWriter, type TokenCase } from './hostile-case.ts';
import { flagCases, identityCases, roomCases, ttlCases } from './hostile-wishes.ts';
import type { ForgersKeys, Scene } from './scene.ts';

/**
 * The table of hostile requests (livekit.md §4). The first cases are honest: an endpoint that refuses all is no proof.
 * @param takesBody false for an endpoint that is asked by its URL alone: cases about bodies then say nothing
 */
export function hostileCases(scene: Scene, keys: ForgersKeys, takesBody = true): TokenCase[] {
  const write = new CaseWriter(scene);
  return [
    ...honestCases(write),
    ...flagCases(write),
    ...identityCases(write),
    ...roomCases(write),
    ...ttlCases(write),
    ...(takesBody ? bodyCases(write) : []),
    ...transportCases(write),
    ...seatCases(write),
    ...callerCases(write, keys),
  ];
}

/** Of somebody else's endpoint only those are honest whose sessions are at hand. */
function honestCases(write: CaseWriter): TokenCase[] {
  const cases = [
    write.honest('viewer', 'a viewer may watch'),
    write.honest('speaker', 'a speaker may publish'),
    write.honest('listener', 'a listen-only seat may watch'),
  ];
  return write.scene.strict ? cases : cases.filter(({ ask }) => !('missing' in ask));
}

function seatCases(write: CaseWriter): TokenCase[] {
  const pleading = { extra: { canPublish: true, role: 'host' } };
  const { endedStream } = write.scene;
  const ended: TokenCase =
    endedStream === null
      ? {
          group: 'seat',
          name: 'a stream that is over',
          ask: { missing: 'needs the name of a stream that is over' },
          expect: { kind: 'refused' },
        }
      : write.refused('seat', 'viewer', 'a stream that is over', { room: endedStream });
  return [
    write.refused('seat', 'banned', 'a banned user'),
    write.refused('seat', 'banned', 'a banned user asking to publish', pleading),
    write.lost('downgraded', 'a seat that lost the right to publish', pleading),
    write.lost('expired', 'a seat whose time is over', pleading),
    ended,
  ];
}
