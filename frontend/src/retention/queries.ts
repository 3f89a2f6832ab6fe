/** For how long an organization, or the whole hub, keeps what devices send. */
import { useQuery } from '@tanstack/vue-query'
import type { Ref } from 'vue'
import { useChange } from '@/api/changing'
import { client } from '@/api/client'
import type { components } from '@/api/schema'

type Schemas = components['schemas']
export type Policy = Schemas['RetentionPolicyRead']
export type NewPolicy = Schemas['RetentionPolicyCreate']

const MOST = 500

/** Those of an organization; without one, those that count for the whole hub. */
export function usePolicies(organizationId: Ref<number | null>) {
  return useQuery({
    queryKey: ['retention', organizationId],
    queryFn: async ({ signal }) => {
      const whose = organizationId.value === null ? { of_hub: true } : { organization_id: organizationId.value }
      const params = { query: { ...whose, limit: MOST } }
      return (await client.GET('/api/v1/retention-policies', { params, signal })).data ?? []
    },
  })
}

export function usePolicyActions() {
  const touches = ['retention']
  return {
    create: useChange(async (body: NewPolicy) => void (await client.POST('/api/v1/retention-policies', { body })), { touches, fields: true }),
    remove: useChange(
      async (id: number) => void (await client.DELETE('/api/v1/retention-policies/{policy_id}', { params: { path: { policy_id: id } } })),
      { touches },
    ),
  }
}
