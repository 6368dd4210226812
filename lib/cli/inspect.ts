import { type Command, Option } from 'commander';
import { type CheckpointContents, inspect } from '../model/inspect.js';
import { STEPS } from '../model/preprocessing.js';
import type { FoundRecipe } from '../model/recipes.js';
import { type InspectOptions, inspectOptions } from '../options/inspect.js';
import { addCall, jsonOption } from './options.js';
import type { Output } from './output.js';

/** The command's flags. */
interface InspectFlags extends InspectOptions {
  tensors?: boolean;
}

export function addInspect(program: Command, output: Output): void {
  const command = addCall(program, inspectOptions, {
    name: 'inspect',
    description: 'show what a .pth, .pt2 or .safetensors holds; nothing in it is executed',
    argument: '<path>',
  });
  command.addOption(new Option('--tensors', 'list every tensor')).addOption(jsonOption());
  command.action(async (file: string, { tensors, averaged }: InspectFlags) => {
    const contents = await inspect(file, { averaged });
    if (output.json) output.event('checkpoint', contents);
    else for (const fields of describe(contents, tensors === true)) output.print(...fields);
  });
}

/** Returns lines of a name and a value, each as fields; a tensor's line has three. */
function describe(contents: CheckpointContents, withTensors: boolean): string[][] {
  const { path, format, architecture, width, classes, parameters, tensors, metadata, recipe } =
    contents;
  const { problem, passedOver } = contents;
  const rows: [string, string | number | undefined][] = [
    ['file', path],
    ['format', format === 'legacy' ? "legacy (PyTorch's before 1.6)" : format],
    ['architecture', architecture ?? 'unknown'],
    ['width', width ?? undefined],
    ['problem', problem ?? undefined],
    ...graphRows(contents),
    ['classes', classes ?? undefined],
    ['weights', placeOf(contents)],
    ['passed over', passedOver.join(', ') || undefined],
    ['parameters', parameters.toLocaleString('en')],
    ['tensors', tensors.length],
  ];
  if (metadata) {
    const { teacher, weights, epoch, metrics, options, versions } = metadata;
    rows.push(
      ['names', metadata.classes.join(', ')],
      ['image size', metadata.imageSize],
      ...STEPS.map((name): [string, string | undefined] => [name, metadata[name]?.toString()]),
      ['mean', metadata.mean.join(',')],
      ['std', metadata.std.join(',')],
      ['teacher', teacher && pairs(teacher)],
      ['started from', weights && pairs(weights)],
      ['options', options && pairs(options)],
      ['epoch', epoch],
      ['metrics', metrics && pairs(metrics)],
      ['made with', versions && pairs(versions)],
    );
  }
  if (recipe) {
    rows.push(['recipe', `${recipe.from} (${recipe.program})`], ...stepsOf(recipe));
  }
  const lines = rows
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [`${name.padEnd(14)}${value}`]);
  if (!withTensors) return lines;
  return [
    ...lines,
    ...tensors.map(({ name, shape, dtype }) => [name, dtype, `(${shape.join(', ')})`]),
  ];
}

/** Returns what a graph says of itself. */
function graphRows({ graph }: CheckpointContents): [string, string | number | undefined][] {
  if (!graph) return [];
  const calls = Object.entries(graph.operators).sort(([, a], [, b]) => b - a);
  return [
    ['module', graph.module ?? undefined],
    ['exported by', graph.torch === null ? undefined : `PyTorch ${graph.torch}`],
    ['input', graph.imageSize === null ? 'any size' : `${graph.imageSize} pixels`],
    ['operators', calls.map(([name, count]) => `${name} ${count}`).join(', ')],
    ['refused', graph.refusal ?? undefined],
  ];
}

/** Says where the weights lie, where that is not the file's own dict under the names of the architecture. */
function placeOf({ weights: { key, prefix, head, averaged } }: CheckpointContents) {
  const parts = [
    key && `under '${key}'`,
    prefix && `named '${prefix}…'`,
    head && `last layer '${head}'`,
    averaged && 'averaged',
  ];
  return parts.filter(Boolean).join(', ') || undefined;
}

/** Returns the preprocessing that a recipe says, or the reason why it cannot be honoured. */
function stepsOf({ steps, refusal }: FoundRecipe): [string, string][] {
  if (!steps) return [['refused', refusal ?? '']];
  return Object.entries(steps).map(([name, value]) => [name, `${value ?? 'none'}`]);
}

function pairs(record: Record<string, unknown>): string {
  // A seed is shown whole, a loss is not.
  const show = (value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? +value.toPrecision(6) : value;
  return Object.entries(record)
    .map(([name, value]) => `${name} ${show(value)}`)
    .join(', ');
}
