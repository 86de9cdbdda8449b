import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { examineModal } from '../../src/doctor/modal.ts';
import { Config, type ConfigInput } from '../../src/shared/config/worker-config.ts';
import { connectTo, TOKEN } from '../activities/sandbox/modal/support.ts';
import { ModalDouble } from '../support/modal-double/server.ts';
import { temporaryFolder } from '../support/repos.ts';

const GOOD = { MODAL_TOKEN_ID: TOKEN.id, MODAL_TOKEN_SECRET: TOKEN.secret };

describe('the doctor of a worker whose sandboxes are on Modal', () => {
  const folder = temporaryFolder('agentswarm-doctor-modal-');
  let double: ModalDouble;
  beforeAll(async () => {
    double = await ModalDouble.start(join(folder.dir, 'modal'), TOKEN);
  });
  afterAll(async () => {
    await double.close();
    folder.remove();
  });

  async function examine(env: NodeJS.ProcessEnv, sandbox: ConfigInput['sandbox'] = {}, url = double.url) {
    const config = Config.parse({ sandbox: { provider: 'modal', ...sandbox } });
    const findings = await connectTo(url, () => examineModal(config, env));
    return (name: string) => findings.find((each) => each.name === name);
  }

  test('asks Modal whether it takes the token, and makes nothing there', async () => {
    const of = await examine(GOOD);
    expect(of('isolation')).toMatchObject({ state: 'full', found: expect.stringContaining('(will be made)') });
    expect(double.requests('AppGetOrCreate')).toMatchObject([{ appName: 'agentswarm', objectCreationType: 0 }]);
    expect(of('limit: disk')).toMatchObject({ state: 'partly' });
    expect(of('network of agents')).toMatchObject({ state: 'full', found: expect.stringMatching(/^none/) });
  });

  test('says that a run would be refused without a token, or with a wrong one', async () => {
    const none = await examine({ MODAL_TOKEN_ID: 'ak-1' });
    expect(none('isolation')).toMatchObject({ state: 'missing', blocks: true });
    expect(none('isolation')?.found).toMatch(/MODAL_TOKEN_SECRET is not set/);
    const wrong = (await examine({ ...GOOD, MODAL_TOKEN_SECRET: 'as-other-secret' }))('isolation');
    expect(wrong).toMatchObject({ state: 'missing', blocks: true, found: expect.stringContaining('malformed') });
    expect(JSON.stringify(wrong)).not.toContain('as-other-secret');
  });

  test('says which network of agents Modal cannot give', async () => {
    const of = await examine(GOOD, { network: { allow: ['a.example.com', 'b.example.com:22'] } });
    expect(of('network of agents')).toMatchObject({ state: 'missing', blocks: true });
    expect(of('network of agents')?.found).toContain('b.example.com:22');
    const fine = await examine(GOOD, { network: { allow: ['a.example.com'] } });
    expect(fine('network of agents')?.found).toBe('by Modal: TLS on port 443 to a.example.com');
    expect((await examine(GOOD, { network: 'full' }))('network of agents')).toMatchObject({ state: 'partly' });
  });
});
