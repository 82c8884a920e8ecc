/**
 * A repeatable random number for arrival `index` under `seed`: stateless, so it is the same whichever worker
 * takes the arrival and in whatever order. (splitmix32's finaliser over seed and index.)
 * @returns an unsigned 32-bit integer
 */
export function indexRandom(seed: number, index: number): number {
  let z = (Math.imul(seed | 0, 0x85ebca6b) + Math.imul(index + 1, 0x9e3779b9)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}
