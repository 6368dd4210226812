export {
  type CompareArm,
  type CompareEvents,
  type CompareResult,
  type CompareRun,
  compare,
} from './compare.js';
export { type ConvertResult, convert } from './convert.js';
export { type DistillRun, distill } from './distill.js';
export type { DoctorResult } from './doctor/examination.js';
export { doctor } from './doctor.js';
export { DistillError, type ErrorCode } from './errors.js';
export type { OnnxCheck } from './export-onnx/check.js';
export { exportOnnx, type OnnxExport } from './export-onnx.js';
export type { ModelCost } from './model/cost.js';
export { type CheckpointContents, inspect } from './model/inspect.js';
export type { ModelMetadata } from './model/metadata.js';
export type { OnnxValue } from './model/onnx/graph.js';
export type { CompareOptions } from './options/compare.js';
export type { ConvertOptions } from './options/convert.js';
export type { DistillOptions } from './options/distill.js';
export type { DoctorOptions, DoctorProgress, Finding } from './options/doctor.js';
export type { OnnxInput, OnnxOptions } from './options/export-onnx.js';
export type { InspectOptions } from './options/inspect.js';
export type { PredictOptions } from './options/predict.js';
export type { DatasetStatsOptions } from './options/stats.js';
export type { SweepOptions, TrialsOptions } from './options/sweep.js';
export type { TeachOptions } from './options/teach.js';
export type { TeacherLogitsOptions } from './options/teacher-logits.js';
export type { TrainingOptions } from './options/training.js';
export {
  type ClassProbability,
  type Prediction,
  type Predictions,
  predict,
} from './predict.js';
export type {
  CommonEvents,
  PrepareProgress,
  TrainingEvents,
  TrainingProgress,
} from './run/events.js';
export type {
  DistillResult,
  EpochReport,
  InitialReport,
  RunSetup,
  TeachResult,
  TrainingResult,
} from './run/reports.js';
export type { Run, TrainingRun } from './run/run.js';
export { type DatasetStats, datasetStats } from './stats.js';
export {
  type SweepEvents,
  type SweepPoint,
  type SweepResult,
  type SweepRun,
  sweep,
} from './sweep.js';
export { type TeachRun, teach } from './teach.js';
export { type TeacherLogitsResult, teacherLogits } from './teacher-logits.js';
export type { MeanStd } from './training/mean-std.js';
export type { Scores, SeedSummary, Trial } from './training/seeds.js';
export type { TrialsEvents, TrialsProgress, TrialsResult } from './training/trials.js';
export type { DistillWarning, WarningCode } from './warnings.js';
