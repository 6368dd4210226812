import { compareOptions } from './compare.js';
import { convertOptions } from './convert.js';
import { distillOptions } from './distill.js';
import { doctorOptions } from './doctor.js';
import { onnxOptions } from './export-onnx.js';
import { inspectOptions } from './inspect.js';
import { predictOptions } from './predict.js';
import { datasetStatsOptions } from './stats.js';
import { sweepOptions } from './sweep.js';
import { teachOptions } from './teach.js';
import { teacherLogitsOptions } from './teacher-logits.js';

/** The schemas of all public calls. Arguments of a call that are no options are among their fields. */
export const schemas = {
  distill: distillOptions,
  teach: teachOptions,
  sweep: sweepOptions,
  compare: compareOptions,
  teacherLogits: teacherLogitsOptions,
  predict: predictOptions,
  exportOnnx: onnxOptions,
  convert: convertOptions,
  doctor: doctorOptions,
  inspect: inspectOptions,
  datasetStats: datasetStatsOptions,
} as const;
