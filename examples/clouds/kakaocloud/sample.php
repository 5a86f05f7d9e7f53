<?php
// List KakaoCloud's projects.
declare(strict_types=1);

const FRESH = 11 * 3600; // seconds: a token lasts for 12 hours, and may end before

/** A project token: replaced before it ends, and once where it is refused. */
final class Session
{
    public string $user = '';
    private string $token = '';
    private float $since = 0;

    public function __construct(
        private string $url,
        private string $id,
        #[SensitiveParameter] private string $secret,
    ) {
        $this->renew();
    }

    public function get(string $path): object
    {
        if (hrtime(true) / 1e9 - $this->since > FRESH) {
            $this->renew();
        }
        $answer = $this->send($path);
        if ($answer['status'] === 401) {
            $this->renew();
            $answer = $this->send($path);
        }
        return self::expect(200, $answer);
    }

    private function renew(): void
    {
        $this->token = '';
        $answer = $this->send('/auth/tokens', ['auth' => ['identity' => [
            'methods' => ['application_credential'],
            'application_credential' => ['id' => $this->id, 'secret' => $this->secret],
        ]]]);
        $this->user = self::expect(201, $answer)->token->user->id;
        $this->token = $answer['headers']['x-subject-token'];
        $this->since = hrtime(true) / 1e9;
    }

    private function send(string $path, ?array $body = null): array
    {
        $headers = [];
        $curl = curl_init($this->url . $path);
        curl_setopt_array($curl, [
            CURLOPT_HTTPHEADER => array_merge(
                ['Content-Type: application/json'],
                $this->token === '' ? [] : ["X-Auth-Token: $this->token"],
            ),
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$headers): int {
                [$name, $value] = explode(':', $line, 2) + [1 => ''];
                $headers[strtolower($name)] = trim($value);
                return strlen($line);
            },
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTPS, // nothing goes out without TLS
            CURLOPT_SSLVERSION => CURL_SSLVERSION_TLSv1_2, // 1.2 or later
            CURLOPT_FOLLOWLOCATION => false, // the secret goes nowhere else
            CURLOPT_TIMEOUT => 30,
        ]);
        if ($body !== null) {
            curl_setopt($curl, CURLOPT_POSTFIELDS, json_encode($body, JSON_THROW_ON_ERROR));
        }
        $told = curl_exec($curl);
        if ($told === false) {
            throw new RuntimeException('KakaoCloud can\'t be reached: ' . curl_error($curl));
        }
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        return ['status' => $status, 'headers' => $headers, 'body' => $told];
    }

    private static function expect(int $status, array $answer): object
    {
        if ($answer['status'] !== $status) {
            throw new RuntimeException("KakaoCloud refused: {$answer['status']} {$answer['body']}");
        }
        return json_decode($answer['body'], flags: JSON_THROW_ON_ERROR);
    }
}

$id = getenv('OS_APPLICATION_CREDENTIAL_ID') ?: '';
$secret = getenv('OS_APPLICATION_CREDENTIAL_SECRET') ?: '';
$url = getenv('OS_AUTH_URL') ?: 'https://iam.kakaocloud.com/identity/v3';
try {
    if ($id === '' || $secret === '') {
        throw new RuntimeException(
            'OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET are not set'
        );
    }
    $session = new Session($url, $id, $secret);
    foreach ($session->get("/users/$session->user/projects")->projects as $project) {
        echo "$project->id $project->name\n";
    }
} catch (RuntimeException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
