import type { OnnxInput } from '../../options/export-onnx.js';
import type { ModelMetadata } from '../metadata.js';
import { CENTER_CROP, changedSteps, type Preprocessing } from '../preprocessing.js';
import { stepsOf } from './picture.js';

// The `metadata_props` of the ONNX models that this package writes.

/**
 * Returns the properties of a model that is written.
 *
 * @param metadata That of the student's file, where it has some.
 */
export function propertiesOf(
  preprocessing: Preprocessing,
  labels: readonly string[],
  { input, softmax, dynamicSize }: { input: OnnxInput; softmax: boolean; dynamicSize: boolean },
  metadata: ModelMetadata | null,
): Record<string, string> {
  const { mean, std, imageSize } = preprocessing;
  const size = dynamicSize ? 'height, width' : `${imageSize}, ${imageSize}`;
  const inputs = {
    picture: `uint8 (height, width, 3): RGB pixels of one picture; the model ${stepsOf(preprocessing)} and normalises them`,
    uint8: `uint8 (N, ${size}, 3): RGB pixels; the model normalises them`,
    float: `float32 (N, 3, ${size}): RGB in 0..1; the model normalises them`,
    normalized: `float32 (N, 3, ${size}): RGB in 0..1, minus mean, divided by std`,
  };
  const rows = input === 'picture' ? '1' : 'N';
  const steps = changedSteps(preprocessing);
  return {
    classes: JSON.stringify(labels),
    mean: JSON.stringify(mean),
    std: JSON.stringify(std),
    image_size: `${imageSize}`,
    ...(Object.keys(steps).length > 0 && { preprocessing: JSON.stringify(steps) }),
    input: inputs[input],
    output: `float32 (${rows}, ${labels.length}): ${softmax ? 'probabilities' : 'logits'} of the classes`,
    ...(metadata && { 'distill.json': JSON.stringify(metadata) }),
  };
}

/** Tells whether the model normalises what it is fed, by the property `input`. */
export function normalizesItself(properties: ReadonlyMap<string, string>): boolean {
  return /; the model .*normalises them$/.test(properties.get('input') ?? '');
}

/**
 * Returns the metadata that the properties say, as JSON that is not checked yet; `null` where they are not this package's.
 * The options of the export count before those of the student's training.
 */
export function metadataIn(properties: ReadonlyMap<string, string>): string | null {
  const student = objectIn(properties.get('distill.json'));
  const [classes, mean, std, imageSize] = ['classes', 'mean', 'std', 'image_size'].map((name) =>
    valueIn(properties.get(name)),
  );
  const isWhole = [classes, mean, std, imageSize].every((value) => value !== undefined);
  if (!isWhole) return student && JSON.stringify(student);
  const rest = Object.entries(student ?? {}).filter(([name]) => !(name in CENTER_CROP));
  const steps = objectIn(properties.get('preprocessing'));
  return JSON.stringify({
    ...Object.fromEntries(rest),
    ...steps,
    classes,
    mean,
    std,
    imageSize,
  });
}

function valueIn(json: string | undefined): unknown {
  try {
    return JSON.parse(json ?? '');
  } catch {
    return undefined;
  }
}

function objectIn(json: string | undefined): object | null {
  const value = valueIn(json);
  return typeof value === 'object' && !Array.isArray(value) ? value : null;
}
