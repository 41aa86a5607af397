/** Finds the route of a request by API Gateway's path templates. */
import type { HttpRoute } from '../../infra/topology.ts';

export interface RouteMatch {
  readonly route: HttpRoute;
  readonly routeKey: string;
  readonly pathParameters: Readonly<Record<string, string>>;
}
interface Compiled {
  readonly route: HttpRoute;
  readonly routeKey: string;
  readonly segments: readonly string[];
  readonly literals: number;
}

const isParameter = (segment: string): boolean => segment.startsWith('{') && segment.endsWith('}');

function parametersOf(compiled: Compiled, segments: readonly string[]): Record<string, string> | null {
  if (segments.length !== compiled.segments.length) return null;
  const parameters: Record<string, string> = {};
  for (const [index, template] of compiled.segments.entries()) {
    const segment = segments[index] ?? '';
    if (isParameter(template)) {
      if (segment === '') return null;
      parameters[template.slice(1, -1)] = segment;
    } else if (template !== segment) return null;
  }
  return parameters;
}

/** The matcher of these routes; more literal segments win. `bad_path`: the path is not valid percent-encoding. */
export function compileRoutes(
  routes: readonly HttpRoute[],
): (method: string, path: string) => RouteMatch | 'not_found' | 'bad_path' {
  const compiled: Compiled[] = routes
    .map((route) => {
      const segments = route.path.split('/');
      return {
        route,
        segments,
        routeKey: `${route.method} ${route.path}`,
        literals: segments.filter((segment) => !isParameter(segment)).length,
      };
    })
    .sort((a, b) => b.literals - a.literals);
  return (method, path) => {
    let segments: string[];
    try {
      segments = path.split('/').map(decodeURIComponent);
    } catch {
      // URIError is the only failure: the caller answers 400.
      return 'bad_path';
    }
    for (const candidate of compiled) {
      if (candidate.route.method !== method) continue;
      const pathParameters = parametersOf(candidate, segments);
      if (pathParameters !== null) return { route: candidate.route, routeKey: candidate.routeKey, pathParameters };
    }
    return 'not_found';
  };
}
