import { expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { checkModel, findRuntime } from '../../../lib/export-onnx/check.js';
import { makeTrials } from '../../../lib/export-onnx/trials.js';
import {
  STUDENT_TENSORS,
  type StudentTensor,
  studentModel,
} from '../../../lib/model/onnx/student.js';
import { CENTER_CROP, type PixelSteps } from '../../../lib/model/preprocessing.js';
import { mean, std } from '../../helpers/dataset.js';
import { classes, student } from '../../helpers/onnx.js';

const steps: Partial<PixelSteps>[] = [
  { resize: 56 },
  { resize: 64, interpolation: 'bicubic' },
  { resize: [70, 51], interpolation: 'nearest' },
  { resize: [40, 44], padding: [1, 2, 3, 4] },
  { resize: [48, 48], crop: false },
];

test.each(steps)('a model of whole pictures answers as its student: %o', async (given) => {
  const runtime = await findRuntime();
  if (typeof runtime === 'string') throw new Error(runtime);
  const preprocessing = { ...CENTER_CROP, ...given, imageSize: 48, mean, std };
  const options = { input: 'picture', softmax: true, dynamicSize: false } as const;
  const tensors = await native(loadAddon().readTensors(student, STUDENT_TENSORS, false));
  const { bytes } = studentModel({
    ...options,
    preprocessing,
    labels: classes,
    tensors: new Map(STUDENT_TENSORS.map((name, i) => [name, tensors[i] as StudentTensor])),
    foldBatchNorm: true,
    opset: 18,
    metadata: {},
    producerVersion: '',
  });
  const trials = await makeTrials(preprocessing, {
    ...options,
    student,
    averaged: false,
    classes: classes.length,
  });
  expect(trials.map(({ input }) => input.shape)).toEqual([
    [85, 94, 3],
    [144, 57, 3],
    [24, 16, 3],
    [1, 7, 3],
  ]);
  const { images, maxDifference } = await checkModel(bytes, runtime, trials, options);
  expect(images).toBe(4);
  expect(maxDifference).toBeLessThan(1e-3);
});
