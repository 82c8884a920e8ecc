/** The parts of an option's `flags` text: `-y, --yes`, `--rate <n/s>`, `--no-color`. */
export interface OptionFlags {
  readonly short: string | undefined;
  readonly long: string;
  /** `<n/s>`, or undefined for a switch. */
  readonly value: string | undefined;
  /** `--no-x`: the option `x` is true unless it is given. */
  readonly negated: boolean;
  /** Under which name its value arrives: camel-cased, without `no-`. */
  readonly key: string;
}

export function readOptionFlags(flags: string): OptionFlags {
  const words = flags.split(/[ ,|]+/);
  const long = words.find((word) => word.startsWith('--'));
  if (long === undefined) throw new Error(`option without a long name: ${flags}`);
  const negated = long.startsWith('--no-');
  const name = long.slice(negated ? 5 : 2);
  return {
    short: words.find((word) => /^-[^-]$/.test(word)),
    long,
    value: words.find((word) => /^[<[]/.test(word)),
    negated,
    key: name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
  };
}
