/** The CDK app, apart from its start, so that tests synthesise exactly what is deployed. */
import { readFileSync } from 'node:fs';
import { App, type AppProps, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { z } from 'zod';
import { cellConfigFrom } from './config.ts';
import { CellStack } from './stacks/cell-stack.ts';

const PackageFile = z.looseObject({ version: z.string().min(1) });

const packageVersion = (): string =>
  PackageFile.parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))).version;

export interface CellApp {
  readonly app: App;
  readonly stack: CellStack;
}

/** Findings of AwsSolutions and of the CDK's own rules end the synthesis unless they are acknowledged with a reason. */
export const cellApp = (props: AppProps = {}): CellApp => {
  const app = new App(props);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const stack = new CellStack(app, 'AgentVillage', {
    description: 'Agent Village: one cell',
    config: cellConfigFrom(app.node),
    version: packageVersion(),
  });
  return { app, stack };
};
