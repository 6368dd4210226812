import { datasetFolders, teacherOf } from './checks.js';
import { type DoctorResult, Examination } from './doctor/examination.js';
import { abortable } from './errors.js';
import { checkOptions } from './options/check.js';
import { type DoctorOptions, doctorOptions } from './options/doctor.js';

/**
 * Looks at everything that a `distill()` with these options stands on, before it runs for hours: the installation and the
 * machine; with a dataset, every picture; with a teacher, its accuracy on the validation pictures; memory, disk and time
 * that the run will need, by a few real steps. Nothing is written.
 *
 * It goes on after a problem, so that one call tells all; that the addon is missing is a finding like others.
 *
 * @throws DistillError `ERR_OPTION` where an option is not what it should be, and `ERR_ABORTED`. Whatever else the run
 * would fail with is a finding.
 */
export async function doctor(options: DoctorOptions = {}): Promise<DoctorResult> {
  const checked = checkOptions(doctorOptions, options);
  const { dataset, train, val, teacher, teacherLogits } = checked;
  const isGiven = (...paths: (string | undefined)[]) => paths.some((path) => path !== undefined);
  const folders = isGiven(dataset, train, val) ? datasetFolders(checked) : null;
  const source = isGiven(teacher, teacherLogits) ? teacherOf(checked) : null;
  return abortable(checked.signal, () => new Examination(checked).carryOut(folders, source));
}
