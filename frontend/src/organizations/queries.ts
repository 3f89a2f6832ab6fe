/** What the pages ask about organizations, members and invitations, and what they change. */
import { useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useChange } from '@/api/changing'
import { client, openClient } from '@/api/client'
import type { components } from '@/api/schema'
import { loadMe } from '@/api/session'
import type { MemberRole } from './roles'

type Schemas = components['schemas']
export type Organization = Schemas['OrganizationRead']
export type Member = Schemas['MemberRead']
export type Invitation = Schemas['InvitationRead']

const MOST = 500

export function useOrganizations() {
  return useQuery({
    queryKey: ['organizations', 'list'],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/organizations', { params: { query: { limit: MOST } }, signal })).data ?? [],
  })
}

export function useOrganization(id: Ref<number>) {
  return useQuery({
    queryKey: ['organizations', 'one', id],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/organizations/{organization_id}', { params: { path: { organization_id: id.value } }, signal })).data!,
  })
}

export function useMembers(id: Ref<number>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: ['members', id],
    queryFn: async ({ signal }) => {
      const params = { path: { organization_id: id.value }, query: { limit: MOST } }
      return (await client.GET('/api/v1/organizations/{organization_id}/members', { params, signal })).data ?? []
    },
    enabled,
  })
}

export function useInvitations(id: Ref<number>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: ['invitations', id],
    queryFn: async ({ signal }) => {
      const params = { path: { organization_id: id.value }, query: { limit: MOST } }
      return (await client.GET('/api/v1/organizations/{organization_id}/invitations', { params, signal })).data ?? []
    },
    enabled,
  })
}

export function useNewOrganization() {
  return useChange(
    async (name: string) => {
      const { data } = await client.POST('/api/v1/organizations', { body: { name } })
      await loadMe()
      return data!
    },
    { touches: ['organizations'], fields: true },
  )
}

export function useOrganizationActions(id: Ref<number>) {
  const path = computed(() => ({ organization_id: id.value }))
  return {
    rename: useChange(
      async (name: string) => {
        await client.PATCH('/api/v1/organizations/{organization_id}', { params: { path: path.value }, body: { name } })
        await loadMe()
      },
      { touches: ['organizations', 'homes'], fields: true },
    ),
    remove: useChange(
      async () => {
        await client.DELETE('/api/v1/organizations/{organization_id}', { params: { path: path.value } })
        await loadMe()
      },
      { touches: ['organizations', 'homes', 'devices', 'users'], gone: true },
    ),
    leave: useChange(
      async () => {
        await client.POST('/api/v1/organizations/{organization_id}/leave', { params: { path: path.value } })
        await loadMe()
      },
      { touches: ['organizations', 'homes', 'devices', 'users'], gone: true },
    ),
  }
}

export function useMemberActions(id: Ref<number>) {
  const at = (user_id: number) => ({ path: { organization_id: id.value, user_id } })
  return {
    change: useChange(
      async ({ userId, role }: { userId: number; role: MemberRole }) => {
        await client.PATCH('/api/v1/organizations/{organization_id}/members/{user_id}', { params: at(userId), body: { role } })
        await loadMe()
      },
      { touches: ['members', 'organizations', 'users', 'assignments'] },
    ),
    remove: useChange(
      async (userId: number) => {
        await client.DELETE('/api/v1/organizations/{organization_id}/members/{user_id}', { params: at(userId) })
        await loadMe()
      },
      { touches: ['members', 'organizations', 'users', 'assignments'] },
    ),
  }
}

export function useInvitationActions(id: Ref<number>) {
  return {
    invite: useChange(
      async (body: { email: string; role: MemberRole; home_ids: number[] }) => {
        const params = { path: { organization_id: id.value } }
        return (await client.POST('/api/v1/organizations/{organization_id}/invitations', { params, body })).data!
      },
      { touches: ['invitations'], fields: true },
    ),
    revoke: useChange(
      async (invitation_id: number) => {
        const params = { path: { organization_id: id.value, invitation_id } }
        await client.DELETE('/api/v1/organizations/{organization_id}/invitations/{invitation_id}', { params })
      },
      { touches: ['invitations'] },
    ),
  }
}

/** What the holder of a link is offered; the token stays out of addresses, which servers and browsers write down. */
export function useInvitationPreview(token: Ref<string>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: ['invitation', token],
    queryFn: async ({ signal }) =>
      (await openClient.POST('/api/v1/invitations/preview', { body: { token: token.value }, signal })).data!,
    enabled,
  })
}
