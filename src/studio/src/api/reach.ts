/** As `fetch`, in words for whoever waits for it: the browsers' own are for programmers, and each has others. */
export async function reach(...given: Parameters<typeof fetch>): Promise<Response> {
  try {
    return await fetch(...given);
  } catch (error) {
    throw error instanceof TypeError ? new Error("The server cannot be reached.", { cause: error }) : error;
  }
}
