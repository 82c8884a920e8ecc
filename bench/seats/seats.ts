import { atMost, type BenchOptions, type Figure } from '../figure.ts';
import { ejectionFigures } from './ejection.ts';
import { frameFigures } from './frames.ts';
import { SeatGround } from './ground.ts';
import { latencyFigures, manyJoinsFigures } from './joins.ts';
import { readmissionFigures } from './readmission.ts';

/**
 * Seats: how long a revocation takes to reach the client, whether anybody comes back through the gate, and what the
 * gate costs those who may come in. About a minute and a half on two idle cores.
 */
export async function benchSeats({ note }: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  {
    await using ground = await SeatGround.start();
    note('seats: revocations, one by one and 200 at once');
    figures.push(...(await ejectionFigures(ground)));
    note('seats: banned users at every door');
    figures.push(...(await readmissionFigures(ground)));
    note('seats: joins through the gate');
    figures.push(...(await latencyFigures(ground)), ...(await manyJoinsFigures(ground)));
    const { attempts, refused } = ground.legitimate;
    const against = `${attempts} admissions of speakers and viewers in all of the above`;
    figures.push(
      atMost(0, { figure: 'legitimate users refused', value: refused, unit: 'refusals', against }),
    );
  }
  note('seats: frames through the gate');
  figures.push(...(await frameFigures()));
  return figures;
}
