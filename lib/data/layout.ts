import path from 'node:path';
import { DistillError } from '../errors.js';
import { count, quoted } from '../words.js';
import { isImage, list } from './listing.js';
import type { Split } from './split.js';

// Hints for a dataset that is not laid out as train/ and val/. Nothing is guessed: a hint names the options to give.

/** The folders of a run's pictures. */
export interface DatasetFolders {
  train: string;
  /** The same as `train` where the pictures to validate with are taken out of that. */
  val: string;
  /** The folder that holds both, where they were given by it. */
  dataset?: string;
  /** The share to validate with, where no pictures are set aside for that. */
  valSplit?: Split;
  /** A folder of pictures without a class, which are trained on besides those of `train`. */
  unlabeled?: string;
}

/** Names that other programs give the two halves, and the pictures that are kept for the end. */
const NAMES = {
  train: /^(train|training|trn)([-_ ]?(set|data|images))?$/i,
  val: /^(val|valid|validation|dev|eval)([-_ ]?(set|data|images))?$/i,
  test: /^test(ing)?([-_ ]?(set|data|images))?$/i,
};

/** The remedy where no pictures are set aside to validate with. */
export const SPLIT_REMEDY = 'set `valSplit`, such as to 0.2';

/** Returns an error of a split's folder, with what there is instead and what mends it added to it. */
export async function explainMissing(
  error: DistillError,
  folders: DatasetFolders,
  split: 'train' | 'val',
): Promise<DistillError> {
  if (error.code !== 'ERR_DATASET_NOT_FOUND') return error;
  const hint =
    folders.dataset === undefined
      ? await namesBeside(folders[split])
      : await hintFor(folders.dataset);
  if (hint === null) return error;
  return new DistillError(error.code, `${error.message.replace(/\.$/, '')}; ${hint}.`, {
    cause: error.cause,
  });
}

/**
 * Returns the folder of class folders that is to be split: `train`, the dataset's train/, or the dataset itself.
 *
 * @throws DistillError `ERR_OPTION` where the dataset has pictures to validate with, or halves of other names.
 */
export async function wholeFolder({ train, dataset }: DatasetFolders): Promise<string> {
  if (dataset === undefined) return train;
  const { folders } = await list(dataset);
  const halves: string[] = [];
  for (const name of folders.sort()) {
    const isNamed = Object.values(NAMES).some((names) => names.test(name));
    // A class may be called train as well, but then its pictures lie in it.
    if (isNamed && (await listIfThere(path.join(dataset, name))).folders.length > 0) {
      halves.push(name);
    }
  }
  const vals = halves.filter((name) => NAMES.val.test(name));
  if (halves.includes('train') && vals.length === 0) return path.join(dataset, 'train');
  if (halves.length === 0) return dataset;
  const remedy =
    vals.length === 0
      ? `give the folder to split as \`train\` instead of \`dataset\``
      : 'leave `valSplit` out' +
        (halves.includes('train') && vals.includes('val')
          ? ''
          : ', and give `train` and `val` instead of `dataset`');
  throw new DistillError(
    'ERR_OPTION',
    `Expected class folders, or train/ with nothing to validate with, in '${dataset}' to split by \`valSplit\`, but it holds ${halves.map((name) => `${name}/`).join(' and ')}; ${remedy}.`,
  );
}

/** Names the folders beside one that is not there. */
async function namesBeside(folder: string): Promise<string | null> {
  const parent = path.dirname(folder);
  const { folders } = await listIfThere(parent);
  return folders.length > 0 ? `'${parent}' holds ${quoted(folders.sort())}` : null;
}

/** Says what a folder holds that lacks train/ or val/, and what mends it; `null` where it has both. */
async function hintFor(dataset: string): Promise<string | null> {
  const held = await list(dataset).catch(() => null);
  if (!held) {
    return 'give a folder that holds train/ and val/ as `dataset`, a manifest (.csv, .jsonl) or an archive (.tar, .zip)';
  }
  const { folders, files } = held;
  const place = (...names: string[]) => `'${path.join(dataset, ...names)}'`;
  if (folders.includes('train') && folders.includes('val')) return null;

  const whole = await hintForWhole(dataset);
  if (whole) return whole;
  const train = folders.find((name) => NAMES.train.test(name));
  const val = folders.find((name) => NAMES.val.test(name));
  if (train === 'train') {
    return `'${dataset}' holds ${train}/, but nothing to validate with: ${SPLIT_REMEDY}, or move some pictures of each class to ${place('val', '<class>')}`;
  }
  if (train) {
    return `'${dataset}' holds ${train}/, but nothing to validate with: give ${place(train)} as \`train\` instead of \`dataset\`, and ${SPLIT_REMEDY}`;
  }
  if (val) {
    return `'${dataset}' holds ${val}/, but nothing to train with: give the folder of these pictures as \`train\`, and ${place(val)} as \`val\`, instead of \`dataset\``;
  }
  const name = path.basename(path.resolve(dataset));
  if (NAMES.train.test(name) || NAMES.val.test(name)) {
    const above = await hintForWhole(path.join(dataset, '..'));
    if (above) return `'${dataset}' is one half of a dataset: ${above}`;
  }
  for (const inner of folders) {
    const whole = await hintForWhole(path.join(dataset, inner));
    if (whole) return whole;
  }
  const classes: string[] = [];
  for (const name of folders.sort()) {
    const { files } = await listIfThere(path.join(dataset, name));
    if (files.some(isImage)) classes.push(name);
  }
  if (classes.length > 0) {
    return `'${dataset}' holds class folders itself (${quoted(classes)}): ${SPLIT_REMEDY}, or move some pictures of each to ${place('val', '<class>')}, and the others to ${place('train', '<class>')}`;
  }
  const images = files.filter(isImage).length;
  if (images > 0) {
    return `'${dataset}' holds ${count(images, 'picture')} in no class: sort them into ${place('train', '<class>')} and ${place('val', '<class>')}`;
  }
  return folders.length > 0
    ? `'${dataset}' holds ${quoted(folders)}`
    : `'${dataset}' holds no folder`;
}

/** Says how to give a folder that holds both halves under any names; `null` where it does not. */
async function hintForWhole(folder: string): Promise<string | null> {
  const { folders } = await listIfThere(folder);
  const foldersNamed = (half: keyof typeof NAMES) =>
    folders.filter((name) => NAMES[half].test(name)).sort();
  if (folders.includes('train') && folders.includes('val')) {
    return `give '${folder}' as \`dataset\``;
  }
  const [train] = foldersNamed('train');
  const validation = [...foldersNamed('val'), ...foldersNamed('test')];
  if (train === undefined || validation.length === 0) return null;
  const all = [train, ...validation].map((name) => `${name}/`).join(' and ');
  const vals = validation.map((name) => `'${path.join(folder, name)}'`).join(' or ');
  return `'${folder}' holds ${all}: give \`train\` '${path.join(folder, train)}' and \`val\` ${vals} instead of \`dataset\``;
}

async function listIfThere(folder: string): Promise<{ folders: string[]; files: string[] }> {
  return list(folder).catch(() => ({ folders: [], files: [] }));
}
