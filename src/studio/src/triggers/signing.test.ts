import { expect, test } from "vitest";

import { signed } from "./signing";

// The examples that Standard Webhooks, GitHub and Slack publish; Stripe publishes none, so that one, and the odd secret, are computed by Python's hmac.
const SLACK_BODY =
  "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
  + "&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
  + "%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
  + "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

test("Standard Webhooks' example", async () => {
  const headers = await signed({
    mode: "standard", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", header: "", body: '{"test": 2432232314}', id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    at: 1614265330_999,
  });
  expect(headers).toEqual([
    ["webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"], ["webhook-timestamp", "1614265330"],
    ["webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
  ]);
});

test("a secret that is no base64 stands for its own bytes", async () => {
  const [, , plain] = await signed({ mode: "standard", secret: "not base64!", header: "", body: "{}", id: "a", at: 0 });
  expect(plain).toEqual(["webhook-signature", "v1,Cu/DXm7QN/S9OnUCHl3DF2nkGGkNqeHq2VasjW761eA="]);
});

test("GitHub's example", async () => {
  const headers = await signed({ mode: "github", secret: "It's a Secret to Everybody", header: "", body: "Hello, World!", id: "d", at: 0 });
  expect(headers).toContainEqual(["X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"]);
});

test("Stripe's way", async () => {
  const headers = await signed({ mode: "stripe", secret: "whsec_test_secret", header: "", body: '{"id": "evt_1"}', id: "d", at: 1492774577_000 });
  expect(headers).toEqual([["Stripe-Signature", "t=1492774577,v1=10b0a2815816a45e6b874658b928cae03296be10637343405aaf1e8306ddffdc"]]);
});

test("Slack's example", async () => {
  const headers = await signed({ mode: "slack", secret: "8f742231b10e8888abcd99yyyzzz85a5", header: "", body: SLACK_BODY, id: "d", at: 1531420618_000 });
  expect(headers).toEqual([
    ["X-Slack-Request-Timestamp", "1531420618"],
    ["X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"],
  ]);
});

test("a token is sent as it is, and none is none", async () => {
  const request = { secret: "s3cret-token", header: "X-Mine", body: "{}", id: "d", at: 0 };
  expect(await signed({ ...request, mode: "token" })).toEqual([["X-Mine", "s3cret-token"]]);
  expect(await signed({ ...request, mode: "none" })).toEqual([]);
});
