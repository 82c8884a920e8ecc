import { TrollfixError } from '../kernel/errors.ts';
import type { Prompts } from './command.ts';
import type { InputStream } from './host.ts';
import type { OutputStream } from './output/sink.ts';

export interface PromptOptions {
  readonly stdin: () => InputStream;
  readonly stderr: OutputStream;
  readonly yes: boolean;
  readonly input: boolean;
  readonly signal: AbortSignal;
  /** Called before a question, so that nothing is drawn over it. */
  readonly beforeAsking: () => void;
}

/**
 * Questions on stderr (stdout belongs to the result). @clack/prompts is only loaded when one is asked.
 * Nobody there to answer, or `--no-input`: TF-CLI-005 that names the flag.
 */
export function createPrompts(options: PromptOptions): Prompts {
  const asked = async <T>(
    question: string,
    flag: string,
    ask: (clack: typeof import('@clack/prompts'), io: ClackStreams) => Promise<T>,
  ): Promise<Exclude<T, symbol>> => {
    assertSomebodyThere(options, question, flag);
    options.beforeAsking();
    const clack = await import('@clack/prompts');
    const io = { input: options.stdin(), output: options.stderr, signal: options.signal };
    const answer = await ask(clack, io);
    if (clack.isCancel(answer)) {
      options.signal.throwIfAborted();
      throw declined(question, 'the question was cancelled', flag);
    }
    // isCancel is true for exactly the symbol that clack gives for Ctrl-C
    return answer as Exclude<T, symbol>;
  };

  return {
    confirm: async (question) => {
      if (options.yes) return;
      const yes = await asked(question, '--yes', (clack, io) =>
        clack.confirm({ message: question, initialValue: false, ...io }),
      );
      if (!yes) throw declined(question, 'the answer was no', '--yes');
    },
    text: (question, { initial, secret, flag = 'a flag', validate } = {}) =>
      asked(question, flag, (clack, io) => {
        const check = validate ? { validate: (value: string | undefined) => validate(value ?? '') } : {};
        return secret
          ? clack.password({ message: question, ...check, ...io })
          : clack.text({
              message: question,
              ...(initial === undefined ? {} : { initialValue: initial }),
              ...check,
              ...io,
            });
      }),
    select: async (question, choices, { flag = 'a flag' } = {}) => {
      // clack's own types want the choices as a mapped type that a type parameter cannot meet: it is given numbers
      const index = await asked(question, flag, (clack, io) =>
        clack.select<number>({
          message: question,
          options: choices.map(({ label }, value) => ({ value, label })),
          ...io,
        }),
      );
      const choice = choices[index];
      if (!choice) throw new Error(`the prompt gave choice ${index} of ${choices.length}`);
      return choice.value;
    },
  };
}

interface ClackStreams {
  readonly input: InputStream;
  readonly output: OutputStream;
  readonly signal: AbortSignal;
}

function assertSomebodyThere(options: PromptOptions, question: string, flag: string): void {
  if (options.input && options.stderr.isTTY === true && options.stdin().isTTY === true) return;
  const why = options.input ? 'there is no terminal to ask at' : '--no-input forbids asking';
  throw declined(question, why, flag);
}

function declined(question: string, why: string, flag: string): TrollfixError {
  return new TrollfixError('TF-CLI-005', `not answered: ${question}`, {
    why,
    hint: `pass \`${flag}\``,
    details: { question, flag },
  });
}
