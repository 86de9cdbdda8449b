/**
 * The part of Modal's gRPC protocol that our use of its SDK (0.11.1, V2 backend) speaks, stated anew with the field
 * numbers of the SDK's own encoders, so that the SDK's bytes meet a second opinion.
 */
import type { ServiceDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const CLIENT = `
syntax = "proto3";
package modal.client;
message Empty {}
message AuthTokenGetRequest {}
message AuthTokenGetResponse { string token = 1; }
message EnvironmentGetOrCreateRequest { string deployment_name = 1; }
message EnvironmentSettings { string image_builder_version = 1; }
message EnvironmentMetadata { string name = 1; EnvironmentSettings settings = 2; }
message EnvironmentGetOrCreateResponse { string environment_id = 1; EnvironmentMetadata metadata = 2; }
message AppGetOrCreateRequest { string app_name = 1; string environment_name = 2; int32 object_creation_type = 3; }
message AppGetOrCreateResponse { string app_id = 1; }
message GenericResult { int32 status = 1; string exception = 2; int32 exitcode = 3; }
message Image { repeated string dockerfile_commands = 6; repeated string secret_ids = 12; }
message ImageGetOrCreateRequest { Image image = 2; string app_id = 4; bool force_build = 7; string builder_version = 9; }
message ImageGetOrCreateResponse { string image_id = 1; GenericResult result = 2; }
message ImageFromIdRequest { string image_id = 1; }
message ImageFromIdResponse { string image_id = 1; }
message StringMap { map<string, string> contents = 1; }
message SecretSource { string secret_id = 1; StringMap env = 2; }
message Resources { uint32 memory_mb = 2; uint32 milli_cpu = 3; uint32 memory_mb_max = 5; uint32 milli_cpu_max = 7; }
message NetworkAccess { int32 network_access_type = 1; repeated string allowed_cidrs = 2; repeated string allowed_domains = 3; }
message SchedulerPlacement { repeated string regions = 4; }
message Sandbox {
  repeated string entrypoint_args = 1;
  string image_id = 3;
  repeated string secret_ids = 4;
  Resources resources = 5;
  uint32 timeout_secs = 7;
  optional string workdir = 8;
  SchedulerPlacement scheduler_placement = 17;
  NetworkAccess network_access = 22;
  optional string name = 30;
  optional uint32 idle_timeout_secs = 33;
  bool include_oidc_identity_token = 37;
}
message SandboxTag { string tag_name = 1; string tag_value = 2; }
message SandboxCreateV2Request {
  string app_id = 1;
  Sandbox definition = 2;
  StringMap ephemeral_secrets = 3;
  repeated SandboxTag tags = 4;
  repeated SecretSource secret_sources = 6;
}
message CommandRouterAccess { string jwt = 1; string url = 2; }
message SandboxCreateV2Response { string sandbox_id = 1; string task_id = 3; CommandRouterAccess command_router_access = 5; }
message SandboxListRequest {
  string app_id = 1;
  optional double before_timestamp = 2;
  string environment_name = 3;
  bool include_finished = 4;
  repeated SandboxTag tags = 5;
}
message SandboxInfo { string id = 1; double created_at = 3; repeated SandboxTag tags = 6; string name = 7; }
message SandboxListResponse { repeated SandboxInfo sandboxes = 1; }
message SandboxTagsGetRequest { string sandbox_id = 1; }
message SandboxTagsGetResponse { repeated SandboxTag tags = 1; }
message SandboxTerminateRequest { string sandbox_id = 1; }
message SandboxTerminateResponse { GenericResult existing_result = 1; }
message SandboxWaitRequest { string sandbox_id = 1; float timeout = 2; }
message SandboxWaitResponse { GenericResult result = 1; }
message SandboxGetTaskIdRequest { string sandbox_id = 1; optional float timeout = 2; }
message SandboxGetTaskIdResponse { optional string task_id = 1; GenericResult task_result = 2; }
message SandboxGetFromNameRequest {
  string sandbox_name = 1;
  string environment_name = 2;
  string app_name = 3;
  bool include_terminated = 4;
}
message SandboxGetFromNameResponse { string sandbox_id = 1; }
message SandboxGetCommandRouterAccessRequest { string sandbox_id = 1; }
message SandboxGetCommandRouterAccessResponse { string jwt = 1; string url = 2; }
service ModalClient {
  rpc AuthTokenGet(AuthTokenGetRequest) returns (AuthTokenGetResponse);
  rpc EnvironmentGetOrCreate(EnvironmentGetOrCreateRequest) returns (EnvironmentGetOrCreateResponse);
  rpc AppGetOrCreate(AppGetOrCreateRequest) returns (AppGetOrCreateResponse);
  rpc ImageGetOrCreate(ImageGetOrCreateRequest) returns (ImageGetOrCreateResponse);
  rpc ImageFromId(ImageFromIdRequest) returns (ImageFromIdResponse);
  rpc SandboxCreateV2(SandboxCreateV2Request) returns (SandboxCreateV2Response);
  rpc SandboxListV2(SandboxListRequest) returns (SandboxListResponse);
  rpc SandboxTagsGetV2(SandboxTagsGetRequest) returns (SandboxTagsGetResponse);
  rpc SandboxTerminateV2(SandboxTerminateRequest) returns (SandboxTerminateResponse);
  rpc SandboxWaitV2(SandboxWaitRequest) returns (SandboxWaitResponse);
  rpc SandboxGetTaskIdV2(SandboxGetTaskIdRequest) returns (SandboxGetTaskIdResponse);
  rpc SandboxGetFromNameV2(SandboxGetFromNameRequest) returns (SandboxGetFromNameResponse);
  rpc SandboxGetFromName(SandboxGetFromNameRequest) returns (SandboxGetFromNameResponse);
  rpc SandboxGetCommandRouterAccess(SandboxGetCommandRouterAccessRequest) returns (SandboxGetCommandRouterAccessResponse);
}
`;

const ROUTER = `
syntax = "proto3";
package modal.task_command_router;
message Empty {}
message StringMap { map<string, string> contents = 1; }
message SecretSource { string secret_id = 1; StringMap env = 2; }
message TaskExecStartRequest {
  string task_id = 1;
  string exec_id = 2;
  repeated string command_args = 3;
  int32 stdout_config = 4;
  int32 stderr_config = 5;
  optional uint32 timeout_secs = 6;
  optional string workdir = 7;
  repeated string secret_ids = 8;
  map<string, string> env = 12;
  repeated SecretSource secret_sources = 13;
}
message TaskExecStartResponse {}
message TaskExecStdinWriteRequest { string task_id = 1; string exec_id = 2; uint64 offset = 3; bytes data = 4; bool eof = 5; }
message TaskExecStdinWriteResponse {}
message TaskExecStdioReadRequest { string task_id = 1; string exec_id = 2; uint64 offset = 3; int32 file_descriptor = 4; }
message TaskExecStdioReadResponse { bytes data = 1; }
message TaskExecWaitRequest { string task_id = 1; string exec_id = 2; }
message TaskExecWaitResponse { optional int32 code = 1; optional int32 signal = 2; }
message TaskSnapshotDirectoryRequest { string task_id = 1; bytes path = 2; string snapshot_id = 3; int64 ttl_seconds = 4; }
message TaskSnapshotDirectoryResponse { string image_id = 1; }
message TaskMountDirectoryRequest { string task_id = 1; bytes path = 2; string image_id = 3; }
message TaskUnmountDirectoryRequest { string task_id = 1; bytes path = 2; }
service TaskCommandRouter {
  rpc TaskExecStart(TaskExecStartRequest) returns (TaskExecStartResponse);
  rpc TaskExecStdinWrite(TaskExecStdinWriteRequest) returns (TaskExecStdinWriteResponse);
  rpc TaskExecStdioRead(TaskExecStdioReadRequest) returns (stream TaskExecStdioReadResponse);
  rpc TaskExecWait(TaskExecWaitRequest) returns (TaskExecWaitResponse);
  rpc TaskSnapshotDirectory(TaskSnapshotDirectoryRequest) returns (TaskSnapshotDirectoryResponse);
  rpc TaskMountDirectory(TaskMountDirectoryRequest) returns (Empty);
  rpc TaskUnmountDirectory(TaskUnmountDirectoryRequest) returns (Empty);
}
`;

/** A message as plain data: names in camel case, numbers as numbers, bytes as Buffers, defaults filled in. */
export type Message = Record<string, unknown>;

function serviceOf(proto: string, name: string): ServiceDefinition {
  const { root } = protobuf.parse(proto);
  root.resolveAll();
  const service = root.lookupService(name);
  return Object.fromEntries(
    service.methodsArray.map((method) => {
      method.resolve();
      const { resolvedRequestType: request, resolvedResponseType: response } = method;
      if (request === null || response === null) throw new Error(`${method.name} is not resolved`);
      return [
        method.name,
        {
          path: `/${service.fullName.slice(1)}/${method.name}`,
          requestStream: false,
          responseStream: method.responseStream === true,
          requestSerialize: (value: Message) => Buffer.from(request.encode(request.fromObject(value)).finish()),
          requestDeserialize: (bytes: Buffer): Message =>
            request.toObject(request.decode(bytes), { longs: Number, defaults: true, arrays: true, objects: true }),
          responseSerialize: (value: Message) => Buffer.from(response.encode(response.fromObject(value)).finish()),
          responseDeserialize: (bytes: Buffer): Message => response.toObject(response.decode(bytes)),
        },
      ];
    }),
  );
}

export const clientService = (): ServiceDefinition => serviceOf(CLIENT, 'ModalClient');
export const routerService = (): ServiceDefinition => serviceOf(ROUTER, 'TaskCommandRouter');
