import path from 'node:path';
import { native } from './addon.js';
import { checkClasses, datasetFolders } from './checks.js';
import { scanDataset } from './data/dataset.js';
import { decodeBatches } from './data/decode.js';
import { passedOver } from './data/ignored.js';
import { imageName, writeLogits } from './data/logits-file.js';
import { TEACHER_BATCH } from './data/prepare.js';
import { type LabelledFolder, type Sample, sourceOf } from './data/samples.js';
import { smallCropOfDataset } from './data/sizes.js';
import type { Dataset } from './data/store.js';
import { abortable, DistillError, throwIfAborted } from './errors.js';
import { sha256 } from './files.js';
import { checkFinite, makeClassifier } from './model/classifier.js';
import { inspect } from './model/inspect.js';
import { madeWith, recordedPreprocessing } from './model/metadata.js';
import { isOnnx } from './model/onnx-teacher/contents.js';
import { readOnnx, sha256OfOnnx } from './model/onnx-teacher/model.js';
import { checkOutput, type OutputFile, refuseOthers } from './model/output.js';
import type { Preprocessing } from './model/preprocessing.js';
import { preprocessingOf, recipeFound } from './model/resolve.js';
import { isUnicode } from './names.js';
import type { NativeClassifier, NativeExecution } from './native.js';
import { checkOptions } from './options/check.js';
import {
  type CheckedTeacherLogitsOptions,
  type TeacherLogitsOptions,
  teacherLogitsOptions,
} from './options/teacher-logits.js';
import { emitWarning, imageSkipped, imageTruncated, noGpu } from './warnings.js';
import { printable } from './words.js';

/** The outcome of {@link teacherLogits}. */
export interface TeacherLogitsResult {
  /** The file. */
  path: string;
  /** The teacher's architecture, such as 'densenet121'; 'onnx' of an ONNX model. */
  architecture: string;
  /** Class names by column. */
  classes: string[];
  /** Pictures that the teacher answered for. */
  images: { train: number; val: number };
  /** Pictures that did not decode and were passed over (`onBadImage: 'skip'`). */
  skipped: string[];
  seconds: number;
}

/**
 * Writes a teacher's raw logits for every training and validation picture to a safetensors file, from which
 * `distill({ teacherLogits: file })` learns as from the teacher itself, to the bit on one machine and thread count.
 *
 * The file has `logits`, float32 (n, classes), and `paths`, uint8: the pictures' paths from the dataset's folder
 * (`train/ants/1.jpg`) in UTF-8 with a NUL between two.
 *
 * @throws DistillError `ERR_OPTION`, `ERR_DATASET_…`, `ERR_TEACHER_ARCHITECTURE`, `ERR_TEACHER_CLASSES`,
 * `ERR_NO_METADATA` where neither the options nor the teacher's file say mean and std, `ERR_BAD_IMAGE`,
 * `ERR_NOT_FINITE` where an answer is no finite number, `ERR_CHECKPOINT_…`, `ERR_WRITE` and `ERR_ABORTED`; then nothing
 * is written.
 */
export async function teacherLogits(options: TeacherLogitsOptions): Promise<TeacherLogitsResult> {
  const checked = checkOptions(teacherLogitsOptions, options);
  return abortable(checked.signal, () => write(checked));
}

async function write(checked: CheckedTeacherLogitsOptions): Promise<TeacherLogitsResult> {
  const started = performance.now();
  const { teacher, averaged, onWarning = emitWarning, signal, overwrite } = checked;
  const folders = datasetFolders(checked);
  const output = path.resolve(checked.output);
  const file: OutputFile = { option: 'output', file: output, kind: 'logits', overwrite };
  await checkOutput(file, { model: 'teacher', file: teacher });
  const dataset = await scanDataset(folders);
  const { classes, train, val } = dataset;
  for (const warning of passedOver(train, val)) onWarning(warning);
  const model = isOnnx(teacher) ? await readOnnx(teacher, signal) : null;
  const contents = model ?? (await inspect(teacher, { averaged }));
  const { architecture } = contents;
  if (architecture === null) {
    throw new DistillError(
      'ERR_TEACHER_ARCHITECTURE',
      'problem' in contents && contents.problem !== null
        ? `${contents.problem}.`
        : `'${teacher}' holds neither a DenseNet nor a student; export another network as ONNX, or write its logits as docs/teachers-and-students.md shows.`,
    );
  }
  // The number of an ONNX model's classes may be known by its answers alone.
  checkClasses(classes, contents.classes ?? (model ? classes.length : 0), teacher, train.root);
  const { preprocessing } = await preprocessingOf(
    { ...contents, classes: classes.length },
    { ...checked, labels: classes },
  );
  const recipe = recipeFound(checked, contents);
  if (recipe) onWarning(recipe);
  const small = await smallCropOfDataset(dataset, preprocessing, checked);
  if (small) onWarning(small);

  const { device, precision, threads = 0 } = checked;
  const execution: NativeExecution = { device, precision, threads };
  const classifier = makeClassifier(teacher, preprocessing, execution, {
    averaged,
    classes: classes.length,
  });
  const answers = await ask(classifier, dataset, preprocessing, checked).finally(() =>
    classifier.close(),
  );
  throwIfAborted(signal);
  const { names, logits, images, skipped } = answers;
  await refuseOthers(file);
  await writeLogits(output, names, logits, {
    classes,
    ...recordedPreprocessing(preprocessing),
    teacher: {
      file: path.basename(teacher),
      architecture,
      sha256: await (model ? sha256OfOnnx(model, signal) : sha256(teacher, signal)),
    },
    versions: madeWith(),
  });
  const seconds = (performance.now() - started) / 1000;
  return { path: output, architecture, classes, images, skipped, seconds };
}

/** Asks the teacher about all pictures that decode, in their order. */
async function ask(
  classifier: NativeClassifier,
  dataset: Dataset,
  preprocessing: Preprocessing,
  options: CheckedTeacherLogitsOptions,
) {
  const { teacher, onBadImage, maxPixels, onProgress, onWarning = emitWarning, signal } = options;
  const total = dataset.train.samples.length + dataset.val.samples.length;
  const logits = new Float32Array(total * dataset.classes.length);
  const names: string[] = [];
  const skipped: string[] = [];
  const images = { train: 0, val: 0 };
  const withNames = ({ samples }: LabelledFolder) =>
    samples.filter(({ path }) => {
      if (isUnicode(path)) return true;
      const error = notUtf8(path);
      if (onBadImage !== 'skip') throw error;
      skipped.push(path);
      onWarning(imageSkipped(path, error));
      return false;
    });
  const named = { train: withNames(dataset.train), val: withNames(dataset.val) };
  const { warning } = await native(classifier.load());
  if (warning) onWarning(noGpu(warning));
  for (const split of ['train', 'val'] as const) {
    const samples = named[split];
    const paths = samples.map((sample) => sample.path);
    const batches = decodeBatches(samples.map(sourceOf), {
      preprocessing,
      // The batch size of a distillation: in batches of another size, an answer's last bits may differ.
      batchSize: TEACHER_BATCH,
      onBadImage,
      maxPixels,
      signal,
      onSkip: (_, error, index) => {
        const path = paths[index] as string;
        skipped.push(path);
        onWarning(imageSkipped(path, error));
      },
      onTruncated: (_, error, index) => onWarning(imageTruncated(paths[index] as string, error)),
    });
    for await (const { pixels, indices, count } of batches) {
      const answers = await native(classifier.logits(pixels));
      checkClasses(dataset.classes, answers.length / count, teacher, dataset.train.root);
      checkFinite(answers, {
        rows: count,
        model: teacher,
        nameOf: (row) => `the picture ${paths[indices[row] ?? 0]}`,
      });
      logits.set(answers, names.length * dataset.classes.length);
      for (const index of indices) {
        names.push(imageName(split, dataset[split], samples[index] as Sample));
      }
      images[split] += count;
      onProgress?.({ done: names.length + skipped.length, total });
    }
  }
  if (images.train === 0) {
    throw new DistillError(
      'ERR_IMAGES_NOT_FOUND',
      `None of the ${dataset.train.samples.length} pictures in '${dataset.train.root}' could be read.`,
    );
  }
  return {
    names,
    logits: logits.subarray(0, names.length * dataset.classes.length),
    images,
    skipped,
  };
}

/** Returns the refusal of a picture whose name the file cannot hold. */
function notUtf8(path: string): DistillError {
  return new DistillError(
    'ERR_BAD_IMAGE',
    `The picture ${printable(path)} is not answered for: its name is not UTF-8, as names in a file of logits are; rename it, such as with convmv.`,
  );
}
