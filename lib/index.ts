export { type CompareRun, compare } from './compare.js';
export type { CompareOptions } from './compare-options.js';
export type { CompareArm, CompareEvents, CompareResult } from './comparison.js';
export { type ConvertOptions, type ConvertResult, convert } from './convert.js';
export type { ModelCost } from './cost.js';
export { distill } from './distill.js';
export type { DistillOptions } from './distill-options.js';
export type { DoctorResult } from './doctor/examination.js';
export type { DoctorProgress, Finding } from './doctor/findings.js';
export { doctor } from './doctor.js';
export type { DoctorOptions } from './doctor-options.js';
export { DistillError } from './errors.js';
export { exportOnnx, type OnnxExport, type OnnxOptions } from './export-onnx.js';
export { type CheckpointContents, inspect } from './inspect.js';
export type { StudentMetadata } from './metadata.js';
export type { OnnxCheck } from './onnx/check.js';
export type { OnnxInput, OnnxValue } from './onnx/student.js';
export {
  type ClassProbability,
  type Prediction,
  type PredictOptions,
  predict,
} from './predict.js';
export type {
  CommonEvents,
  DistillResult,
  DistillRun,
  DistillWarning,
  EpochReport,
  PrepareProgress,
  TeachResult,
  TeachRun,
  TrainingEvents,
  TrainingProgress,
  TrainingResult,
  TrainingRun,
} from './run.js';
export type {
  Scores,
  SeriesEvents,
  SeriesProgress,
  SeriesResult,
  Standing,
  StudentRun,
} from './series.js';
export type { Spread } from './spread.js';
export { type DatasetStats, type DatasetStatsOptions, datasetStats } from './stats.js';
export { type SweepRun, sweep } from './sweep.js';
export type { SeriesOptions, SweepOptions } from './sweep-options.js';
export type { SweepEvents, SweepPoint, SweepResult } from './sweeping.js';
export { teach } from './teach.js';
export type { TeachOptions } from './teach-options.js';
export {
  type TeacherLogitsOptions,
  type TeacherLogitsResult,
  teacherLogits,
} from './teacher-logits.js';
export type { TrainingOptions } from './training-options.js';
