/** What the pages ask about users, and what they change. An administrator goes the way that reaches everybody. */
import { keepPreviousData, useInfiniteQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useChange } from '@/api/changing'
import { client } from '@/api/client'
import type { components } from '@/api/schema'
import { may } from '@/api/session'

type Schemas = components['schemas']
export type User = Schemas['UserEntry']
export type Role = NonNullable<Schemas['AdminUserCreate']['role']>

const PAGE = 50
const TOUCHED = ['users', 'members', 'organizations', 'assignments']

export interface UserFilter {
  q?: string
  role?: Role
  is_active?: boolean
  organization_id?: number
}

export function useUserList(filter: Ref<UserFilter>) {
  return useInfiniteQuery({
    queryKey: ['users', 'list', filter],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = { ...filter.value, limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }
      const path = may('admin') ? '/api/v1/admin/users' : '/api/v1/users'
      const { data, response } = await client.GET(path, { params: { query }, signal })
      return { users: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  })
}

export interface NewUser {
  email: string
  full_name?: string
  password?: string
  role: Role
  organization_id?: number
}

export function useNewUser() {
  return useChange(
    async (body: NewUser) =>
      may('admin')
        ? (await client.POST('/api/v1/admin/users', { body })).data!
        : (await client.POST('/api/v1/users', { body: body as Schemas['UserCreate'] })).data!,
    { touches: TOUCHED, fields: true },
  )
}

export interface UserChange {
  full_name?: string | null
  username?: string
  email?: string
  is_active?: boolean
}

export function useUserActions(id: Ref<number>) {
  const params = computed(() => ({ path: { user_id: id.value } }))
  return {
    update: useChange(
      async (body: UserChange) => {
        // What is left out stays as it is, which the generated type cannot say.
        if (may('admin')) return (await client.PATCH('/api/v1/admin/users/{user_id}', { params: params.value, body: body as never })).data!
        return (await client.PATCH('/api/v1/users/{user_id}', { params: params.value, body: body as never })).data!
      },
      { touches: TOUCHED, fields: true },
    ),
    remove: useChange(
      async () => {
        if (may('admin')) await client.DELETE('/api/v1/admin/users/{user_id}', { params: params.value })
        else await client.DELETE('/api/v1/users/{user_id}', { params: params.value })
      },
      { touches: TOUCHED },
    ),
    reset: useChange(
      async () => (await client.POST('/api/v1/users/{user_id}/password-reset', { params: params.value })).data!,
      { touches: [] },
    ),
  }
}
