import type { SupabaseClient } from '@supabase/supabase-js';
import { type FormEvent, useId, useState } from 'react';

/** Sign up or in with e-mail and password; the embedded gateway confirms at once and sends no mail. */
export function SignIn(props: { readonly supabase: SupabaseClient }) {
  const [isNew, setIsNew] = useState(true);
  const [isBusy, setIsBusy] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const id = useId();

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const field = (name: string) => String(form.get(name) ?? '');
    const [email, password] = [field('email'), field('password')];
    setIsBusy(true);
    setTrouble(null);
    const { auth } = props.supabase;
    const { error } = isNew
      ? await auth.signUp({ email, password, options: { data: { display_name: field('name') } } })
      : await auth.signInWithPassword({ email, password });
    setIsBusy(false);
    if (error) setTrouble(error.message);
  };

  return (
    <section className="card" aria-labelledby={`${id}title`}>
      <h2 id={`${id}title`}>{isNew ? 'Join the demo' : 'Welcome back'}</h2>
      <form className="fields" onSubmit={(event) => void submit(event)}>
        {isNew && (
          <Field
            id={`${id}name`}
            name="name"
            label="Name shown in chat"
            type="text"
            complete="nickname"
            max={40}
          />
        )}
        <Field id={`${id}email`} name="email" label="E-mail" type="email" complete="email" max={254} />
        <Field
          id={`${id}password`}
          name="password"
          label="Password, at least 6 characters"
          type="password"
          complete={isNew ? 'new-password' : 'current-password'}
          max={72}
        />
        {trouble !== null && (
          <p className="loss" role="alert">
            {trouble}
          </p>
        )}
        <div className="row">
          <button className="primary" type="submit" disabled={isBusy}>
            {isNew ? 'Sign up' : 'Sign in'}
          </button>
          <button type="button" className="link" onClick={() => setIsNew(!isNew)}>
            {isNew ? 'I have an account' : 'I am new here'}
          </button>
        </div>
        <p className="quiet">It stays on this machine: no mail is sent, any address will do.</p>
      </form>
    </section>
  );
}

function Field(props: {
  readonly id: string;
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly complete: string;
  readonly max: number;
}) {
  const { id, name, label, type, complete, max } = props;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} name={name} type={type} autoComplete={complete} maxLength={max} required />
    </div>
  );
}
