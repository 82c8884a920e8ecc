import type { CommandInput } from './command.ts';

/** An option that is a text, as it was given. */
export function textOption({ options }: CommandInput, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/** An option that its parser makes a number of: a count, a rate, a time in milliseconds. */
export function numberOption({ options }: CommandInput, name: string): number | undefined {
  const value = options[name];
  return typeof value === 'number' ? value : undefined;
}

/** An option that its spec requires, without the spaces around it. */
export function requiredOption(input: CommandInput, name: string): string {
  const value = textOption(input, name);
  if (value === undefined) throw new Error(`the spec does not require --${name}`);
  return value.trim();
}

/** An argument that its spec requires, without the spaces around it. */
export function requiredArgument({ arguments: args }: CommandInput, name: string): string {
  const value = args[name];
  if (typeof value !== 'string') throw new Error(`the spec does not require <${name}>`);
  return value.trim();
}
