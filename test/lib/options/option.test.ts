import { describe, expect, test } from 'vitest';
import { distillOptions } from '../../../lib/options/distill.js';
import {
  defaultOf,
  fieldOf,
  kindOf,
  metaOf,
  namesOf,
  recordedOptions,
} from '../../../lib/options/option.js';
import { schemas } from '../../../lib/options/schemas.js';
import { teachOptions } from '../../../lib/options/teach.js';

const NEVER_RECORDED = /teacher|student|weights|dataset|device|threads|cache/;

test.each(Object.entries(schemas))(
  '%s: each option has a help text, or is an object',
  (_, schema) => {
    for (const name of namesOf(schema)) {
      const { help } = metaOf(fieldOf(schema, name));
      if (kindOf(fieldOf(schema, name)).type === 'object') expect(help, name).toBeUndefined();
      else expect(help, name).toMatch(/^\S.*[^.]$/);
    }
  },
);

test.each(Object.entries(schemas))('%s: help texts name options of the same call', (_, schema) => {
  for (const name of namesOf(schema)) {
    const { help = '', shown = '' } = metaOf(fieldOf(schema, name));
    const named = [...`${help} ${shown}`.matchAll(/`(\w+)`/g)].map(([, other]) => other);
    expect(namesOf(schema), name).toEqual(expect.arrayContaining(named));
  }
});

test('facts of a copy add to those of the field, and leave them as they are', () => {
  const { synonyms, shown } = metaOf(fieldOf(teachOptions, 'mean'));
  expect(shown).toMatch(/weights/);
  expect(synonyms).toBe(metaOf(fieldOf(distillOptions, 'mean')).synonyms);
  expect(metaOf(fieldOf(distillOptions, 'mean')).shown).toBe("from the teacher's file");
});

test('a default is the schema’s', () => {
  expect(defaultOf(distillOptions, 'epochs')).toBe(500);
  expect(defaultOf(teachOptions, 'epochs')).toBe(30);
  expect(() => defaultOf(distillOptions, 'seed')).toThrow('The option seed has no default.');
});

describe('the options that metadata records', () => {
  test('are those that the outcome depends on, in the schema’s order; some only where they are changed', () => {
    const options = distillOptions.parse({ student: 's.pth', teacher: 't.pth', dataset: 'photos' });
    expect(
      Object.keys(recordedOptions(distillOptions, { ...options, dropRate: 0.2, seed: 1 })),
    ).toEqual([
      ...['epochs', 'lr', 'schedule', 'dropRate', 'temperature', 'alpha', 'batchSize', 'shuffle'],
      ...['monitor', 'views', 'cropScale', 'precision', 'seed'],
    ]);
  });

  test('are no files, and none of the machine', () => {
    for (const schema of [distillOptions, teachOptions]) {
      const recorded = namesOf(schema).filter((name) => metaOf(fieldOf(schema, name)).recorded);
      expect(recorded.filter((name) => NEVER_RECORDED.test(name))).toEqual([]);
    }
  });
});
