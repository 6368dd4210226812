import { z } from 'zod';
import { alternatives } from './fields.js';
import { isPath } from './hints.js';
import { option } from './option.js';

/** The networks that can be students by name. */
export const STUDENTS = [
  'cnn',
  'resnet20',
  'resnet32',
  'resnet18',
  'mobilenet_v3_small',
  'shufflenet_v2_x0_5',
] as const;

/** The student's network where none is named: the reference's CNN, the only one that has widths. */
export const DEFAULT_STUDENT = 'cnn';

/** The dropout of the CNN before its last layer, where none is given. */
const CNN_DROP_RATE = 0.2;

const named = alternatives([...STUDENTS.map((name) => `'${name}'`), 'a path that ends in .pt2']);

/** The options that choose a student's network. */
export const architecture = {
  architecture: option(
    z
      .union([z.enum(STUDENTS), z.string().refine(isPath).refine(isExportedProgram)])
      .describe(named)
      .default(DEFAULT_STUDENT),
    {
      help: `the student's network: ${alternatives(STUDENTS)}; or a .pt2 of torch.export, whose weights it starts from`,
      placeholder: 'name',
      synonyms: 'arch studentArchitecture network modelName backbone net',
      path: isExportedProgram,
      recorded: 'changed',
    },
  ),
  width: option(
    z
      .number()
      .min(0.25)
      .max(8)
      .multipleOf(0.25)
      .describe('a multiple of 0.25 in 0.25..8')
      .default(1),
    {
      help: 'the width of cnn: all its channels times this',
      placeholder: 'factor',
      synonyms: 'widthMult widthMultiplier widthFactor channels',
      recorded: 'changed',
    },
  ),
};

/** Tells whether a student's network is given as a file that `torch.export` wrote, and not by name. */
export function isExportedProgram(architecture: string): boolean {
  return architecture.endsWith('.pt2');
}

/** Returns the dropout before a student's last layer; `null` stands for the network's own. */
export function dropRateOf({
  architecture,
  dropRate,
}: {
  architecture: string;
  dropRate?: number | undefined;
}): number | null {
  return dropRate ?? (architecture === DEFAULT_STUDENT ? CNN_DROP_RATE : null);
}
