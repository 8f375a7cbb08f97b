#Requires -Version 5.1
#Requires -RunAsAdministrator
# Ends the service BerthAgent and removes its program. VMs are left as they are, and so is the state folder.
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$name = 'BerthAgent'
if (Get-Service -Name $name -ErrorAction SilentlyContinue) {
    Stop-Service -Name $name
    & sc.exe delete $name | Out-Null
    if ($LASTEXITCODE -ne 0) { throw 'the service was not removed' }
}
foreach ($folder in @((Join-Path $env:ProgramFiles 'Berth'), (Join-Path $env:ProgramData 'Berth\agent'))) {
    if (Test-Path -LiteralPath $folder) { Remove-Item -LiteralPath $folder -Recurse -Force }
}
Write-Output 'VMs are left as they are. What stays: VMs (Get-VM), their folders, and C:\ProgramData\Berth (configuration, host key, usage not yet sent)'
