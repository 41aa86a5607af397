/** Code that runs at the edge, as text: pure functions of the address, small enough to be read and tested as they are. */

/** A WebSocket API listens at the root of its stage only. */
export const socketRewrite = (stageName: string): string => `function handler(event) {
  event.request.uri = '/${stageName}';
  event.request.querystring = {};
  return event.request;
}
`;

/** Addresses without a file name belong to the page's own router. Not done by error pages: those would also hide the API's 404. */
export const PAGE_REWRITE = `function handler(event) {
  var request = event.request;
  if (request.uri.slice(request.uri.lastIndexOf('/')).indexOf('.') === -1) request.uri = '/index.html';
  return request;
}
`;
