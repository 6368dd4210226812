import { loadAddon, native } from '../addon.js';
import { DistillError } from '../errors.js';
import type { Preprocessing } from '../model/preprocessing.js';
import type { NativeStudentCheck } from '../native.js';
import { dropRateOf } from '../options/architectures.js';
import type { CheckedOptions } from '../options/distill.js';
import type { DistillWarning } from '../warnings.js';

// The network of a run's students.

/** A student's network. */
export interface StudentNetwork {
  /** The registry's name, or the class of the model that was exported. */
  architecture: string;
  /** Trainable numbers. */
  parameters: number;
}

/** The options that a student's network depends on. */
export type NetworkOptions = Pick<
  CheckedOptions,
  'architecture' | 'width' | 'dropRate' | 'initialStudent' | 'batchSize'
>;

/**
 * Makes a student and asks it about a picture: training would refuse the same, but only after all pictures are prepared.
 *
 * @throws DistillError `ERR_GRAPH`, `ERR_MODEL_ARCHITECTURE`, `ERR_CHECKPOINT_…`, and `ERR_OPTION` where batches are too small.
 */
export async function checkNetwork(
  options: NetworkOptions,
  { classes, preprocessing }: { classes: number; preprocessing: Preprocessing },
  onWarning: (warning: DistillWarning) => void,
): Promise<StudentNetwork> {
  const { architecture, width, initialStudent = '', batchSize } = options;
  const asked: NativeStudentCheck = {
    architecture,
    width,
    dropRate: dropRateOf(options),
    initialStudent,
    classes,
    imageSize: preprocessing.imageSize,
  };
  const found = await native(loadAddon().checkStudent(asked));
  if (batchSize < found.smallestBatch) {
    throw new DistillError(
      'ERR_OPTION',
      `Expected a \`batchSize\` of at least ${found.smallestBatch} for the architecture '${architecture}', whose BatchNorm compares pictures, but received ${batchSize}.`,
    );
  }
  if (found.replacedClasses !== null) {
    const message = `The network in '${architecture}' has ${found.replacedClasses} classes, and these pictures have ${classes}: its last layer is replaced by a fresh one.`;
    onWarning({ code: 'WARN_FRESH_HEAD', message, path: architecture });
  }
  return { architecture: found.architecture, parameters: found.parameters };
}
