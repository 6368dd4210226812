import { randomUUID } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { DistillError } from '../errors.js';
import { madeWith } from '../model/metadata.js';
import { fieldOf, isPathIn, metaOf, namesOf, type Schema } from '../options/option.js';

// What a run's folder says of the run, and what must not have changed when it is resumed.

/** The calls whose runs can be kept in a folder. */
export type KeptCall = 'distill' | 'teach' | 'sweep' | 'compare';

/** The facts that a run's numbers follow from, besides its options. */
export interface RunFacts {
  /** SHA-256 of the pictures' names, sizes, times and classes. */
  dataset: string;
  /** SHA-256 of the teacher's file, or of the one that a teacher's training starts from. */
  teacher: string | null;
  device: string;
  precision: 'fp32' | 'bf16';
  threads: number;
  /** Versions of node-distill, LibTorch and Node. */
  versions: Record<string, string>;
  machine: { cpu: string; cores: number };
}

/** The facts that only the run knows. */
export type GivenFacts = Pick<RunFacts, 'dataset' | 'teacher' | 'device' | 'precision'>;

/** The contents of `options.json`. */
export interface RunRecord {
  /** Raised when the meaning of the folder changes. */
  version: 1;
  /** Names the run in its state. */
  id: string;
  call: KeptCall;
  /** The checked options, with absolute paths. */
  options: Record<string, unknown>;
  seed: number;
  /** `null` until the pictures have been found. */
  facts: RunFacts | null;
}

const recordSchema: z.ZodType<RunRecord> = z.object({
  version: z.literal(1),
  id: z.string().min(1),
  call: z.enum(['distill', 'teach', 'sweep', 'compare']),
  options: z.record(z.string(), z.unknown()),
  seed: z.int().min(0),
  facts: z
    .object({
      dataset: z.string(),
      teacher: z.string().nullable(),
      device: z.string(),
      precision: z.enum(['fp32', 'bf16']),
      threads: z.int(),
      versions: z.record(z.string(), z.string()),
      machine: z.object({ cpu: z.string(), cores: z.int() }),
    })
    .nullable(),
});

/**
 * Reads the text of an `options.json`.
 *
 * @throws DistillError `ERR_RESUME` where it is none.
 */
export function parseRecord(text: string, file: string): RunRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = recordSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new DistillError(
    'ERR_RESUME',
    `'${file}' does not describe a run of this version of node-distill; name another folder as \`runDir\`, or set \`overwrite\` to start anew.`,
  );
}

/** Makes the record of a run that begins. */
export function newRecord(
  call: KeptCall,
  schema: Schema,
  options: object,
  seed: number,
): RunRecord {
  return {
    version: 1,
    id: randomUUID(),
    call,
    options: recordedRunOptions(schema, options),
    seed,
    facts: null,
  };
}

/** Returns the options that a resumed run takes from the record, with absolute paths. */
function recordedRunOptions(schema: Schema, options: object): Record<string, unknown> {
  const entries = namesOf(schema).flatMap((name) => {
    const value = options[name as keyof typeof options] as unknown;
    if (value === undefined || metaOf(fieldOf(schema, name)).resume === 'apart') return [];
    const isPath = isPathIn(fieldOf(schema, name), value);
    return [[name, isPath ? path.resolve(value) : value] as const];
  });
  // As JSON has them: what is compared later has been written and read.
  return JSON.parse(JSON.stringify(Object.fromEntries(entries)));
}

/** Returns the facts of a run on this machine. */
export function factsOf(given: GivenFacts, threads: number | undefined): RunFacts {
  return {
    ...given,
    threads: threads ?? os.availableParallelism(),
    versions: madeWith(),
    machine: { cpu: os.cpus()[0]?.model ?? 'unknown', cores: os.availableParallelism() },
  };
}

/**
 * Compares the options of a run that is resumed with those that it began with.
 *
 * @returns What has changed and is allowed to, in words.
 * @throws DistillError `ERR_RESUME` where one has changed that the run's numbers follow from.
 */
export function compareOptions(
  record: RunRecord,
  { call, schema, options }: { call: KeptCall; schema: Schema; options: object },
  folder: string,
): string[] {
  if (record.call !== call) {
    throw new DistillError(
      'ERR_RESUME',
      `'${folder}' holds a run of ${record.call}(), not of ${call}(); name another folder as \`runDir\`.`,
    );
  }
  const now = recordedRunOptions(schema, options);
  const told: string[] = [];
  for (const name of namesOf(schema)) {
    const { resume } = metaOf(fieldOf(schema, name));
    const [before, after] = [record.options[name], now[name]];
    if (isDeepStrictEqual(before, after) || resume === 'free' || resume === 'apart') continue;
    if (name === 'seed' && after === undefined) continue; // the one that was drawn
    const change = `\`${name}\` is ${shown(after)} instead of ${shown(before)}`;
    if (resume !== 'told' || isOtherCourse(name, now)) {
      throw new DistillError(
        'ERR_RESUME',
        `The run in '${folder}' began with other options: ${change}; give the same ones, or name another folder as \`runDir\`.`,
      );
    }
    told.push(change);
  }
  return told;
}

/** Tells whether more or fewer epochs change all of a training, as the learning rate's course is as long as the training. */
function isOtherCourse(name: string, { schedule }: Record<string, unknown>): boolean {
  return name === 'epochs' && schedule !== 'constant';
}

/**
 * Compares the facts of a run that is resumed with those that it began with.
 *
 * @returns What has changed that may change the last digits of its numbers, in words.
 * @throws DistillError `ERR_RESUME` where the pictures, the teacher or the precision are others.
 */
export function compareFacts(before: RunFacts, now: RunFacts, folder: string): string[] {
  const refuse = (what: string) => {
    throw new DistillError(
      'ERR_RESUME',
      `${what} since the run in '${folder}' began; put back what it began with, or name another folder as \`runDir\`.`,
    );
  };
  if (before.dataset !== now.dataset) refuse('The pictures have changed');
  if (before.teacher !== now.teacher) refuse('The file of the teacher has changed');
  if (before.precision !== now.precision) refuse('The precision has changed');
  const told: string[] = [];
  const tell = (what: string, one: unknown, other: unknown) => {
    if (one !== other) told.push(`${what} ${shown(other)} instead of ${shown(one)}`);
  };
  tell('the device is', before.device, now.device);
  tell('the threads are', before.threads, now.threads);
  tell('the processor is', before.machine.cpu, now.machine.cpu);
  for (const name of Object.keys(now.versions)) {
    tell(`the version of ${name} is`, before.versions[name], now.versions[name]);
  }
  return told;
}

function shown(value: unknown): string {
  return value === undefined ? 'not given' : JSON.stringify(value);
}
