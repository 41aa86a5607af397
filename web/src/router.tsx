/** The page's addresses. None of them has parameters but a session's id: a link can show something, never start it. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { SessionsPage } from './sessions/sessions-page.tsx';
import { Frame } from './ui/frame.tsx';
import { LostPage, PageError } from './ui/lost-page.tsx';

const rootRoute = createRootRoute({ component: Frame, notFoundComponent: LostPage, errorComponent: PageError });
const routes = [
  createRoute({ getParentRoute: () => rootRoute, path: '/', component: SessionsPage }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/signin',
    component: lazyRouteComponent(() => import('./signin/sign-in-page.tsx'), 'SignInPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/new',
    component: lazyRouteComponent(() => import('./start/start-page.tsx'), 'StartPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/runners',
    component: lazyRouteComponent(() => import('./runners/runners-page.tsx'), 'RunnersPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/sessions/$sessionId',
    component: lazyRouteComponent(() => import('./session/session-page.tsx'), 'SessionPage'),
  }),
] as const;

export const createPageRouter = () =>
  createRouter({
    routeTree: rootRoute.addChildren([...routes]),
    defaultPreload: 'intent',
    scrollRestoration: true,
  });

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createPageRouter>;
  }
}
