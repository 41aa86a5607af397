/** Routes about who one is: sign-in, tickets, what can be run, health. */

import { AppError } from '../../shared/errors.ts';
import { RegisterBuildBody, SESSION_COOKIE, SignInBody, TicketBody } from '../../shared/http.ts';
import { PROVIDERS } from '../../shared/providers.ts';
import { type HttpRoute, route } from '../middleware/http.ts';
import { userOf } from '../middleware/users.ts';
import { type BuildStore, registerBuild } from '../releases/build-store.ts';
import { createSignInCode, createTicket, type SignInPorts, signIn } from '../tenants/sign-in.ts';

export interface AccountPorts extends SignInPorts {
  readonly builds: BuildStore;
  readonly publicUrl: string;
  readonly version: string;
  readonly operatorTenant: string | undefined;
}

const cookie = (value: string, maxAgeSec: number, secure: boolean): string =>
  `${SESSION_COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeSec}${secure ? '; Secure' : ''}`;

export const accountRoutes = (ports: AccountPorts): Record<string, HttpRoute> => {
  const secure = ports.publicUrl.startsWith('https:');
  const nowIso = () => new Date(ports.clock.nowMs()).toISOString();
  return {
    'GET /api/health': route({ run: async () => ({ body: { status: 'ok', version: ports.version, time: nowIso() } }) }),
    'POST /api/signin': route({
      body: SignInBody,
      run: async ({ body }) => {
        const { token, tenantId, userId, expSec } = await signIn(ports, body.code);
        const maxAgeSec = expSec - Math.floor(ports.clock.nowMs() / 1_000);
        return {
          body: { tenantId, userId, expiresAt: new Date(expSec * 1_000).toISOString() },
          cookies: [cookie(token, maxAgeSec, secure)],
        };
      },
    }),
    'POST /api/signout': route({ run: async () => ({ body: { signedOut: true }, cookies: [cookie('', 0, secure)] }) }),
    'GET /api/me': route({
      run: async ({ authorizer }) => {
        const { tenantId, userId } = userOf(authorizer);
        const profile = await ports.tenants.profile(tenantId);
        return { body: { tenantId, userId, modelKey: profile?.modelVendors.includes('anthropic') ?? false } };
      },
    }),
    'POST /api/tickets': route({
      body: TicketBody,
      run: async ({ authorizer }) => {
        const { ticket, expiresAtMs } = await createTicket(ports, userOf(authorizer));
        return { status: 201, body: { ticket, expiresAt: new Date(expiresAtMs).toISOString() } };
      },
    }),
    'POST /api/signin-links': route({
      run: async ({ authorizer }) => {
        const user = userOf(authorizer);
        /** A page that was taken over must not be able to mint further ways in. */
        if (user.client !== 'cli')
          throw new AppError('forbidden', 'Ask for a sign-in link on the command line: `npx village open`.');
        return { status: 201, body: { url: `${ports.publicUrl}/signin#${await createSignInCode(ports, user)}` } };
      },
    }),
    'GET /api/providers': route({ run: async () => ({ body: { providers: Object.values(PROVIDERS) } }) }),
    'GET /api/builds': route({ run: async () => ({ body: { builds: await ports.builds.list() } }) }),
    'POST /api/builds': route({
      body: RegisterBuildBody,
      run: async ({ body, authorizer }) => {
        const user = userOf(authorizer);
        if (user.tenantId !== ports.operatorTenant)
          throw new AppError('forbidden', 'Builds serve every tenant: only the operator registers them.');
        if (user.client !== 'cli')
          throw new AppError('forbidden', 'Builds are registered on the command line: `npx village builds add`.');
        return { status: 201, body: await registerBuild(ports, body) };
      },
    }),
  };
};
