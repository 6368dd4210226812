import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { isName, isUnicode, nameOf, systemPath } from '../names.js';
import { printable } from '../words.js';
import { byCodePoint, byFolder } from './listing.js';
import { badManifest, type ManifestRow, readManifest } from './manifest-rows.js';
import type { FolderSurvey, Sample, SplitSurvey } from './samples.js';

/** Names of the halves in a manifest's column `split`, and of folders and shards in archives. */
export const HALVES: Readonly<Record<string, 'train' | 'val' | 'test'>> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  dev: 'val',
  test: 'test',
  testing: 'test',
};

/** A picture of a manifest. */
interface Listed {
  path: string;
  label: string;
  split: 'train' | 'val' | null;
  line: number;
}

/**
 * Reads a manifest: a list of pictures with their classes and halves. Classes are the labels, sorted by code point as folders
 * are, or by number where all are whole numbers. Pictures have the order of a folder (by class, folder and name), whatever that
 * of the lines. A line without a label is a picture without a class (label -1), and only for training. Lines of a test set
 * are passed over.
 *
 * @throws DistillError `ERR_MANIFEST` that names the line: one that is not understood, a picture twice, one that is not there.
 */
export async function surveyManifest(file: string): Promise<SplitSurvey> {
  const folder = path.dirname(path.resolve(file));
  const listed: Listed[] = [];
  const lines = new Map<string, number>();
  let firstWithout: number | null = null;
  await readManifest(file, (row) => {
    const picture = check(file, folder, row);
    const before = lines.get(picture.path);
    if (before !== undefined) {
      const what = `'${printable(row.path)}' is in line ${before} already; leave one of them`;
      throw badManifest(file, row.line, what);
    }
    lines.set(picture.path, row.line);
    if (picture.split === 'test') return;
    if (picture.split === null) firstWithout ??= row.line;
    listed.push({ ...picture, split: picture.split });
  });
  if (listed.length === 0) throw badManifest(file, null, 'it lists no picture to train with');
  if (firstWithout !== null && listed.some(({ split }) => split !== null)) {
    throw badManifest(file, firstWithout, 'it has no split, which other lines have; add it');
  }
  await checkThere(file, listed);

  const classes = sortLabels(new Set(listed.map(({ label }) => label).filter(Boolean)));
  const survey = (split: Listed['split']) => {
    const some = listed.filter((picture) => picture.split === split);
    return some.length > 0 ? surveyOf(folder, split, classes, some) : null;
  };
  return { place: file, train: survey('train'), val: survey('val'), unsplit: survey(null) };
}

/** Checks a line by itself. */
function check(file: string, folder: string, row: ManifestRow) {
  const { label, line } = row;
  const refuse = (what: string) => badManifest(file, line, what);
  if (row.path === '') throw refuse('its path is empty');
  if (row.path.includes('\0') || !isName(row.path)) {
    throw refuse(`its path '${printable(row.path)}' cannot be a file's`);
  }
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(row.path)) {
    throw refuse(
      `its path '${printable(row.path)}' is no file of this machine; download the picture`,
    );
  }
  if (label.trim() !== label || !isUnicode(label) || label.includes('\0')) {
    throw refuse(
      `its label '${printable(label)}' cannot be a class's name: blanks stand around it, or characters that are none in it`,
    );
  }
  const split = row.split === '' ? null : HALVES[row.split.trim().toLowerCase()];
  if (split === undefined) {
    throw refuse(
      `its split '${printable(row.split)}' is none of train, val and test; name one of these`,
    );
  }
  if (label === '' && split === 'val') {
    throw refuse('its label is empty; a picture to validate with needs one');
  }
  return { path: path.resolve(folder, row.path), label, split, line };
}

/** Refuses a manifest with pictures that are not there. Folders are listed, as asking for each of a million files takes minutes. */
async function checkThere(file: string, listed: readonly Listed[]): Promise<void> {
  const folders = new Map<string, Listed[]>();
  for (const picture of listed) {
    const folder = path.dirname(picture.path);
    const others = folders.get(folder);
    if (others) others.push(picture);
    else folders.set(folder, [picture]);
  }
  const missing: Listed[] = [];
  for (const [folder, pictures] of folders) {
    const names = await namesIn(folder, pictures.length);
    for (const picture of pictures) {
      if (names?.has(path.basename(picture.path))) continue;
      // A system may know the file by a name that is written otherwise.
      const isThere = await stat(systemPath(picture.path)).then(
        () => true,
        () => false,
      );
      if (!isThere) missing.push(picture);
      if (missing.length >= MOST_MISSING) break;
    }
    if (missing.length >= MOST_MISSING) break;
  }
  if (missing.length === 0) return;
  missing.sort((a, b) => a.line - b.line);
  const shown = missing.slice(0, 5).map(({ path, line }) => `'${printable(path)}' (line ${line})`);
  const rest = missing.length - shown.length;
  const others = `${missing.length >= MOST_MISSING ? 'at least ' : ''}${rest} more`;
  throw badManifest(
    file,
    null,
    `there is no file ${shown.join(', ')}${rest > 0 ? ` and ${others}` : ''}; paths are relative to the manifest's folder`,
  );
}

/** Missing pictures after which no others are looked for. */
const MOST_MISSING = 1000;
/** Pictures of a folder from which on it is listed, as it may hold far more files than the manifest names. */
const MANY = 50;

async function namesIn(folder: string, wanted: number): Promise<Set<string> | null> {
  if (wanted < MANY) return null;
  const names = await readdir(systemPath(folder), { encoding: 'buffer' }).catch(() => []);
  return new Set(names.map(nameOf));
}

/** Sorts labels by code point, or by number where all are whole numbers: 2 comes before 10. */
export function sortLabels(labels: Iterable<string>): string[] {
  const all = [...labels];
  const areNumbers = all.every((label) => /^(0|[1-9]\d{0,14})$/.test(label));
  return all.sort(areNumbers ? (a, b) => Number(a) - Number(b) : byCodePoint);
}

function surveyOf(
  folder: string,
  split: Listed['split'],
  classes: string[],
  pictures: readonly Listed[],
): FolderSurvey {
  const indices = new Map(classes.map((name, index) => [name, index]));
  const byLabel = new Map<number, Sample[]>();
  for (const { path, label } of pictures) {
    const index = label === '' ? -1 : (indices.get(label) as number);
    const others = byLabel.get(index) ?? [];
    if (others.length === 0) byLabel.set(index, others);
    others.push({ path, label: index });
  }
  const samples = [...classes.keys(), -1].flatMap((label) =>
    (byLabel.get(label) ?? []).sort((a, b) => byFolder(a.path, b.path)),
  );
  return {
    root: rootOf(folder, split, samples),
    classes,
    samples,
    ignored: [],
    hidden: [],
    loose: [],
  };
}

/**
 * Returns the folder that a half's pictures are named from: the manifest's, or its train/ or val/ where all of them lie there, as
 * a dataset's do.
 */
function rootOf(folder: string, split: Listed['split'], samples: readonly Sample[]): string {
  if (split === null) return folder;
  const half = path.join(folder, split);
  return samples.every((sample) => sample.path.startsWith(half + path.sep)) ? half : folder;
}
