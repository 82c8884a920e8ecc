import { describe, expect, it } from 'vitest';
import { abilitiesOf, effectivePermissions } from '../../../../src/target/livekit/token-abilities.ts';

const allowed = (video: Record<string, unknown>) =>
  effectivePermissions(video)
    .filter((permission) => permission.allowed)
    .map(({ grant }) => grant);

describe('what LiveKit makes of grants', () => {
  it('an unset flag to publish or subscribe is a permission, every other one is none', () => {
    expect(allowed({})).toEqual(['canPublish', 'canSubscribe', 'canPublishData']);
    expect(allowed({ canPublish: false })).toEqual(['canSubscribe']);
    expect(allowed({ canPublish: false, canPublishData: true })).toEqual(['canSubscribe', 'canPublishData']);
    expect(effectivePermissions({ canSubscribe: true })).toContainEqual({
      ...{ grant: 'canSubscribe', allowed: true, stated: true },
    });
  });

  it('the token of a viewer lets its holder watch, and nothing that reaches others', () => {
    const viewer = {
      roomJoin: true,
      room: 'r',
      canPublish: false,
      canSubscribe: true,
      canPublishData: false,
    };
    const text = abilitiesOf(viewer, 'r').join('\n');
    expect(text).toContain('join the room r');
    expect(text).toContain('watch and hear');
    expect(text).not.toMatch(/publish|send|alias|remove/);
  });

  it('a publisher may come in under aliases too, an administrator throws others out', () => {
    const text = abilitiesOf({ roomJoin: true, roomAdmin: true, canPublishSources: ['camera'] }, 'r').join(
      '\n',
    );
    expect(text).toContain('publish camera');
    expect(text).toContain('alias');
    expect(text).toContain('remove, mute and change everybody in r');
  });

  it('without a room there is nothing to join, and what is left is said', () => {
    expect(abilitiesOf({ roomJoin: true }, null)).toEqual([
      'nothing: it neither joins a room nor administers one',
    ]);
    expect(abilitiesOf({ roomList: true }, null)).toEqual(['list every room']);
  });
});
