import tailwindcss from '@tailwindcss/vite'
import vue from '@vitejs/plugin-vue'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const hub = process.env.ROOST_URL ?? 'http://127.0.0.1:8000'

export default defineConfig({
  base: '/app/',
  plugins: [vue(), tailwindcss()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: '../roost/webapp',
    emptyOutDir: true,
    target: 'es2022',
    // A data: URL for a font or an icon would be refused by the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/api': { target: hub, ws: true },
      '/docs': { target: hub },
      '/openapi.json': { target: hub },
    },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
})
