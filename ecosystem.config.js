/**
 * dropless itself under PM2: `pm2 start ecosystem.config.js`. The configuration is DROPLESS_CONFIG's, else the
 * dropless.yaml beside this file, else /etc/dropless/dropless.yaml. A systemd unit is the better way
 * (scripts/systemd/): with it, dropless and PM2 can be restarted without each other.
 *
 * PM2 loads this file by `require`. In a package of type "module" a `module.exports` would be lost without a
 * word, so `apps` is a named export.
 */
export const apps = [
  {
    name: "dropless",
    script: "dist/main.js",
    cwd: import.meta.dirname,
    exec_mode: "fork",
    instances: 1,
    // It ends its own children, in its own order.
    treekill: false,
    // Time to finish or hand over the deploy that runs; PM2 kills what is not gone then.
    kill_timeout: 60_000,
    exp_backoff_restart_delay: 200,
    // A release must never restart the one who deploys it.
    watch: false,
  },
];
