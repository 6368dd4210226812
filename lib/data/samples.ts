import { stat } from 'node:fs/promises';
import path from 'node:path';
import { systemPath } from '../names.js';
import type { ArchiveEntry } from './archive/entry.js';
import type { HiddenFile } from './hidden.js';

/** A picture and its class. */
export interface Sample {
  path: string;
  /** The index of its class; -1 of a picture without a class, which come after the others. */
  label: number;
  /** Where its bytes are, unless in a file of this path. */
  source?: ArchiveEntry;
}

/** A folder of class folders. */
export interface LabelledFolder {
  root: string;
  /** The names of the class folders, sorted by code point: a class is known by its index here. */
  classes: string[];
  /** By class, then by folder, then by file name; those without a class at the end. */
  samples: Sample[];
  /** The folder that pictures without a class are named from. Default: `root`. */
  unlabeled?: string;
  /** Files in the class folders that are passed over, since their names have none of the endings. */
  ignored: string[];
  /** Hidden files and folders, which are passed over with what they hold. */
  hidden: HiddenFile[];
}

/** The contents of a folder of class folders, whether a run would accept it or not. */
export interface FolderSurvey extends LabelledFolder {
  /** Pictures that lie in the folder itself, in no class. */
  loose: string[];
}

/** The pictures of a manifest or an archive, which says itself where the halves are, or does not. */
export interface SplitSurvey {
  /** The file or files, for messages. */
  place: string;
  train: FolderSurvey | null;
  val: FolderSurvey | null;
  /** Pictures in neither half. */
  unsplit: FolderSurvey | null;
}

/** The facts by which a cache recognises a file without opening it. */
export interface SampleStat {
  /** From the folder's root, with `/` on every system. */
  relativePath: string;
  /** Bytes. Zero, as the time, for a file that cannot be reached: decoding it says why. */
  size: number;
  /** Milliseconds since 1970; of an entry those of its archive. */
  mtimeMs: number;
  /** The size of an entry's archive, in bytes. */
  archive?: number;
  /** The checksum of a zip's entry. */
  crc32?: number | null;
}

function statEntry({ archive, length, crc32 }: ArchiveEntry): Omit<SampleStat, 'relativePath'> {
  return { size: length, mtimeMs: archive.mtimeMs, archive: archive.size, crc32 };
}

/** Returns a sample's path from its folder's root, with `/` on every system; of one without a class, from their own folder. */
export function relativePath(
  { root, unlabeled = root }: Pick<LabelledFolder, 'root' | 'unlabeled'>,
  sample: Sample,
): string {
  return path.relative(sample.label < 0 ? unlabeled : root, sample.path).replaceAll(path.sep, '/');
}

/** Returns where a sample's bytes are. */
export function sourceOf({ path, source }: Sample): string | ArchiveEntry {
  return source ?? path;
}

/** Counts the pictures with a class and those without. */
export function countSamples({ samples }: Pick<LabelledFolder, 'samples'>): {
  labelled: number;
  unlabeled: number;
} {
  // Those without a class come last.
  const first = samples.findIndex(({ label }) => label < 0);
  const labelled = first < 0 ? samples.length : first;
  return { labelled, unlabeled: samples.length - labelled };
}

/** Returns sizes and times of a folder's samples, in their order. */
export async function statSamples(folder: LabelledFolder): Promise<SampleStat[]> {
  const stats: SampleStat[] = [];
  // A bounded number at a time: each waits for one of libuv's few threads.
  for (let from = 0; from < folder.samples.length; from += 64) {
    const some = folder.samples.slice(from, from + 64).map(async (sample) => {
      if (sample.source)
        return { relativePath: relativePath(folder, sample), ...statEntry(sample.source) };
      const { size, mtimeMs } = await stat(systemPath(sample.path)).catch(() => ({
        size: 0,
        mtimeMs: 0,
      }));
      return { relativePath: relativePath(folder, sample), size, mtimeMs };
    });
    stats.push(...(await Promise.all(some)));
  }
  return stats;
}
