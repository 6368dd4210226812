import { datasetFolders, teacherOf } from './checks.js';
import { type DoctorResult, examine } from './doctor/examination.js';
import { abortable } from './errors.js';
import { checkOptions } from './options/check.js';
import { type DoctorOptions, doctorOptions } from './options/doctor.js';

/**
 * Checks everything that a `distill()` with these options needs, before it runs for hours: the installation and the
 * machine; with a dataset, every picture; with a teacher, its accuracy on the validation pictures; memory, disk and time
 * that the run will take, by a few real steps. Nothing is written.
 *
 * It goes on after a problem, so that one call finds all of them. A missing addon is a finding like others.
 *
 * @throws DistillError `ERR_OPTION` where an option is not as it should be, and `ERR_ABORTED`. Any other error of the run
 * is a finding.
 */
export async function doctor(options: DoctorOptions = {}): Promise<DoctorResult> {
  const checked = checkOptions(doctorOptions, options);
  const { dataset, train, val, teacher, teacherLogits } = checked;
  const isGiven = (...paths: (string | undefined)[]) => paths.some((path) => path !== undefined);
  const folders = isGiven(dataset, train, val) ? datasetFolders(checked) : null;
  const source = isGiven(teacher, teacherLogits) ? teacherOf(checked) : null;
  return abortable(checked.signal, () => examine(checked, folders, source));
}
