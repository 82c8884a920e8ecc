import { createClient } from '@supabase/supabase-js';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { loadConfig } from './config.ts';
import { DemoPage } from './demo-page.tsx';

const container = document.getElementById('root');
if (container === null) throw new Error('index.html has no #root');
const root = createRoot(container);

loadConfig().then(
  ({ anonKey, streamId }) => {
    // the gateway that serves this page is the project
    const supabase = createClient(location.origin, anonKey);
    root.render(
      <StrictMode>
        <DemoPage supabase={supabase} streamId={streamId} />
      </StrictMode>,
    );
  },
  (error: unknown) => {
    root.render(
      <main className="notice" role="alert">
        <h1>The stack does not answer</h1>
        <p>{error instanceof Error ? error.message : String(error)}</p>
        <p>
          Look at it with <code>trollfix status</code>, then load this page again.
        </p>
      </main>,
    );
  },
);
