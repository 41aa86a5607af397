/** The synthesised cell, as the tests of infra/ look at it: once per file, without bundling, with every check of a real synthesis. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type CellApp, cellApp } from '../../../infra/cell-app.ts';

const CdkFile = z.looseObject({ context: z.record(z.string(), z.unknown()) });
const Resource = z.looseObject({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
  DeletionPolicy: z.string().optional(),
  UpdateReplacePolicy: z.string().optional(),
});
export type Resource = z.infer<typeof Resource>;
const TemplateFile = z.looseObject({ Resources: z.record(z.string(), Resource) });
const Report = z.looseObject({
  pluginReports: z.array(z.looseObject({ pluginName: z.string(), violations: z.array(z.unknown()) })),
});

/** The flags of cdk.json; `inmemory` makes a failed check throw its report instead of setting this process's exit code. */
export const synthesisContext = (extra: Record<string, unknown> = {}): Record<string, unknown> => ({
  ...CdkFile.parse(JSON.parse(readFileSync(new URL('../../../cdk.json', import.meta.url), 'utf8'))).context,
  'aws:cdk:bundling-stacks': [],
  '@aws-cdk/core:appMode': 'inmemory',
  ...extra,
});

export interface Cell {
  readonly resources: Readonly<Record<string, Resource>>;
  readonly text: string;
  /** Everything a check still complains about, warnings included. */
  readonly violations: readonly unknown[];
  of(type: string): readonly (readonly [string, Resource])[];
}

const viewOf = (resources: Cell['resources'], text: string, violations: readonly unknown[]): Cell => ({
  resources,
  text,
  violations,
  of: (type) => Object.entries(resources).filter(([, resource]) => resource.Type === type),
});

/** @param change is done to the app before it is synthesised */
export const synthesise = (context: Record<string, unknown> = {}, change: (cell: CellApp) => void = () => {}): Cell => {
  const outdir = mkdtempSync(join(tmpdir(), 'village-synth-'));
  try {
    const cell = cellApp({ context: synthesisContext(context), outdir, analyticsReporting: false });
    change(cell);
    cell.app.synth();
    const text = readFileSync(join(outdir, cell.stack.templateFile), 'utf8');
    const report = Report.parse(JSON.parse(readFileSync(join(outdir, 'validation-report.json'), 'utf8')));
    const violations = report.pluginReports.flatMap((plugin) => plugin.violations);
    return viewOf(TemplateFile.parse(JSON.parse(text)).Resources, text, violations);
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
};

/** The template alone, for tests that look at it: without the checks, which take most of the time. */
export const template = (): Cell => {
  const before = process.env.CDK_VALIDATION;
  process.env.CDK_VALIDATION = 'false';
  try {
    return synthesise();
  } finally {
    if (before === undefined) delete process.env.CDK_VALIDATION;
    else process.env.CDK_VALIDATION = before;
  }
};

/** Logical ids end in a hash of eight; without it `<TablesSessions1A2B3C4D.Arn>` reads `<TablesSessions.Arn>`. */
export const withoutHash = (id: string): string => id.replace(/([A-Za-z0-9]+?)[0-9A-F]{8}(?=$|[.>])/g, '$1');
