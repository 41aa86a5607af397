/** Creates a tenant with its first user and ways in. No route leads here: the operator invokes it, locally the start of the village. */
import { z } from 'zod';
import { TenantId, UserId } from '../../shared/ids.ts';
import { platform } from '../aws/platform.ts';
import { observed } from '../middleware/observe.ts';
import { bootstrapTenant } from '../tenants/sign-in.ts';

const Request = z.strictObject({
  tenantId: TenantId,
  userId: UserId,
  modelVendors: z.array(z.enum(['anthropic'])).default([]),
});

export const handler = observed(async (event: unknown) => {
  const { tenantId, userId, modelVendors } = Request.parse(event);
  return bootstrapTenant(platform(), { tenantId, modelVendors }, userId);
});
