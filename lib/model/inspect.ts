import { loadAddon, native } from '../addon.js';
import { DEFAULT_STUDENT } from '../options/architectures.js';
import { checkOptions } from '../options/check.js';
import { type InspectOptions, inspectOptions } from '../options/inspect.js';
import { type ModelMetadata, parseMetadata } from './metadata.js';
import { type FoundRecipe, findRecipe } from './recipes.js';

/** The contents of a checkpoint. */
export interface CheckpointContents {
  path: string;
  /** PyTorch's zip format of today, its older sequence of pickles, or safetensors. */
  format: 'zip' | 'legacy' | 'pt2' | 'safetensors';
  /** 'cnn' (the student that `distill()` trains by default), 'densenet121', 'densenet161', 'densenet169', 'densenet201', or `null` for another. */
  architecture: string | null;
  /** The number of classes, where the architecture is known. */
  classes: number | null;
  /** The width of a 'cnn'; `null` for other networks. */
  width: number | null;
  /**
   * The graph of a file that has one, as a `.pt2`: the class of the model and the version of PyTorch that exported it, the
   * number of calls of each operator, the side of its pictures in pixels where it takes one size alone, and the reason why
   * it cannot be used, where it cannot.
   */
  graph: {
    module: string | null;
    torch: string | null;
    operators: Record<string, number>;
    imageSize: number | null;
    refusal: string | null;
  } | null;
  /**
   * The reason why no architecture is recognised, where one is known: several networks, or another head; a sentence without a
   * full stop.
   */
  problem: string | null;
  /** The place of the weights in the file. */
  weights: {
    /** Keys of the dicts around them, joined by dots: 'state_dict'; '' for the file's own dict. */
    key: string;
    /** The beginning of all names, such as 'module.', which `tensors` leaves out. */
    prefix: string;
    /** The name of the last layer in the file, where it is another than the architecture's; else `null`. */
    head: string | null;
    /** True for averaged (EMA) weights. */
    averaged: boolean;
  };
  /** The names of the file's other entries, such as 'optimizer'; 64 at most. */
  passedOver: string[];
  /** Trainable numbers; running statistics are not counted. */
  parameters: number;
  tensors: { name: string; shape: number[]; dtype: string }[];
  /** The metadata in a file of this package; `null` in others. */
  metadata: ModelMetadata | null;
  /**
   * The preprocessing that another program wrote for it, where the file does not say it itself: in a safetensors file's
   * metadata, or in `<name>.json`, `preprocessor_config.json` or `config.json` beside it; `null` without one.
   */
  recipe: FoundRecipe | null;
}

/** Tells whether a file holds a student: one that a teacher's answers were learnt by, or the network that only students have. */
export function isStudent({
  architecture,
  metadata,
}: Pick<CheckpointContents, 'architecture' | 'metadata'>): boolean {
  return architecture === DEFAULT_STUDENT || metadata?.teacher !== undefined;
}

/**
 * Lists the contents of a `.pth` or a safetensors file. Nothing in the file is executed.
 *
 * @param path A PyTorch checkpoint (a state dict, bare or under any key and prefix) or a safetensors file, recognised by its content.
 * @throws DistillError `ERR_OPTION`, and `ERR_CHECKPOINT_…` where it is not one, damaged, or asks to run something.
 */
export async function inspect(
  path: string,
  options: InspectOptions = {},
): Promise<CheckpointContents> {
  const { averaged } = checkOptions(inspectOptions, { ...options, path });
  const { metadata, otherMetadata, ...contents } = await native(
    loadAddon().inspect(path, averaged),
  );
  const isParameter = (name: string) =>
    !/\.(running_mean|running_var|num_batches_tracked)$/.test(name);
  return {
    path,
    ...contents,
    parameters: contents.tensors
      .filter(({ name }) => isParameter(name))
      .reduce((sum, { shape }) => sum + shape.reduce((n, side) => n * side, 1), 0),
    metadata: metadata === null ? null : parseMetadata(metadata, path),
    recipe: metadata === null ? await findRecipe(path, otherMetadata) : null,
  };
}
