/** Starts the page. */
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Toaster } from 'sonner';
import { config } from 'zod';
import { ApiError } from './api/client.ts';
import { createPageRouter } from './router.tsx';
import './styles/page.css';

// The page's policy forbids eval, which zod would otherwise try.
config({ jitless: true });

const RETRIES_MAX = 2;
const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // A refusal stays a refusal; only an unreachable or failing village is worth another try.
      retry: (failures, error) =>
        failures < RETRIES_MAX && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
      retryDelay: (attempt) => 500 * 2 ** attempt,
      refetchOnWindowFocus: true,
    },
  },
});
const router = createPageRouter();

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
      <Toaster position="bottom-right" theme="system" closeButton toastOptions={{ duration: 6_000 }} />
    </QueryClientProvider>
  </StrictMode>,
);
